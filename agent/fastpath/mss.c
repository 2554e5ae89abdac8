/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The largest packet of a flow: see mss.h. */
#include "fastpath/mss.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "fastpath/hash.h"

#define ENTRIES 65536u
#define LIMIT_BITS 16

#define TCP_FLAGS 13
#define TCP_OPTIONS 20
#define FLAG_SYN 0x02
#define OPTION_END 0
#define OPTION_NOP 1
#define OPTION_MSS 2
#define ICMP_UNREACHABLE 3
#define ICMP_TOO_BIG 4 /* its code "fragmentation needed" */
#define ICMP6_TOO_BIG 2
#define IP4_HEADERS 40 /* IPv4's and TCP's, without options: RFC 6691 counts those in the MSS */
#define IP6_HEADERS 60
#define IP4_CAREFUL 576
#define IP6_CAREFUL 1280

/* Hash of the flow's key in the upper 48 bits, its limit in the lower 16: one store writes both. */
struct mss_table {
	uint64_t seed;
	uint64_t entries[ENTRIES];
};

struct mss_table *mss_new(uint64_t seed)
{
	struct mss_table *table = calloc(1, sizeof(*table));

	if (table)
		table->seed = seed;
	return table;
}

void mss_free(struct mss_table *table)
{
	free(table);
}

uint32_t mss_careful(uint8_t version)
{
	return version == 4 ? IP4_CAREFUL : IP6_CAREFUL;
}

uint32_t mss_limit(const struct mss_table *table, const struct packet_key *key)
{
	uint64_t hash = hash_bytes(key, sizeof(*key), table->seed);
	uint64_t entry = __atomic_load_n(&table->entries[hash % ENTRIES], __ATOMIC_RELAXED);

	return entry >> LIMIT_BITS == hash >> LIMIT_BITS ? entry & UINT16_MAX : 0;
}

/* What is known of a flow only becomes less: a SYN may be forged, or an old connection's that had the same ports. */
static void lower(struct mss_table *table, const struct packet_key *key, uint32_t limit)
{
	uint64_t hash = hash_bytes(key, sizeof(*key), table->seed), *at = &table->entries[hash % ENTRIES];
	uint32_t known = mss_limit(table, key);

	if (limit > UINT16_MAX)
		limit = UINT16_MAX;
	if (!known || limit < known)
		__atomic_store_n(at, hash >> LIMIT_BITS << LIMIT_BITS | limit, __ATOMIC_RELAXED);
}

static void reverse(struct packet_key *key)
{
	struct packet_key old = *key;

	memcpy(key->source, old.target, sizeof(key->source));
	memcpy(key->target, old.source, sizeof(key->target));
	key->source_port = old.target_port;
	key->target_port = old.source_port;
}

static void learn_syn(struct mss_table *table, const uint8_t *data, const struct packet *packet)
{
	uint32_t headers = packet->version == 4 ? IP4_HEADERS : IP6_HEADERS, limit = mss_careful(packet->version);
	const uint8_t *option = data + packet->l4 + TCP_OPTIONS, *end = data + packet->payload;
	struct packet_key key;

	while (option < end && *option != OPTION_END) {
		if (*option == OPTION_NOP) {
			option++;
			continue;
		}
		if (end - option < 2 || option[1] < 2 || option[1] > end - option)
			break;
		if (option[0] == OPTION_MSS && option[1] == 4)
			limit = packet_get16(option + 2) + headers;
		option += option[1];
	}
	packet_key(data, packet, &key);
	reverse(&key);
	lower(table, &key, limit);
}

/* The error quotes the headers of the packet that was too big. */
static void learn_too_big(struct mss_table *table, const uint8_t *data, const struct packet *packet)
{
	const uint8_t *icmp = data + packet->l4, *quoted = icmp + 8;
	uint32_t room = packet->end - packet->l4 - 8, header, limit;
	struct packet inner = { .version = packet->version };
	struct packet_key key;

	if (packet->version == 4) {
		if (icmp[0] != ICMP_UNREACHABLE || icmp[1] != ICMP_TOO_BIG || room < 28)
			return;
		header = (quoted[0] & 0xf) * 4;
		if (quoted[0] >> 4 != 4 || header < 20 || header + 4 > room || quoted[9] != IPPROTO_TCP)
			return;
		limit = packet_get16(icmp + 6);
		/* RFC 1191: an old router names none. */
		if (limit < 68)
			limit = IP4_CAREFUL;
	} else {
		if (icmp[0] != ICMP6_TOO_BIG || room < 44 || quoted[0] >> 4 != 6 || quoted[6] != IPPROTO_TCP)
			return;
		header = 40;
		limit = packet_get32(icmp + 4);
		if (limit < IP6_CAREFUL)
			limit = IP6_CAREFUL;
	}
	inner.l3 = quoted - data;
	inner.l4 = inner.l3 + header;
	packet_key(data, &inner, &key);
	/* The quoted packet had the tags of this one, which lie before its own IP header. */
	for (int i = 0; i < PACKET_VLANS; i++)
		key.vlan[i] = 14 + 4 * i < packet->l3 ? htons(packet_get16(data + 14 + 4 * i) & 0xfff) : 0xffff;
	lower(table, &key, limit);
}

void mss_learn(struct mss_table *table, const uint8_t *data, const struct packet *packet)
{
	if (packet->kind == PACKET_TCP) {
		if (data[packet->l4 + TCP_FLAGS] & FLAG_SYN)
			learn_syn(table, data, packet);
	} else if (packet->kind == PACKET_ICMP || packet->kind == PACKET_ICMP6) {
		learn_too_big(table, data, packet);
	}
}
