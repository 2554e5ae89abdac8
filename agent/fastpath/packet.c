/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The parser: see packet.h. */
#include "fastpath/packet.h"

#include <arpa/inet.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <string.h>

#include "fastpath/checksum.h"

#define ETHER_HEADER 14
#define VLAN_TAG 4
#define IPV4_HEADER 20
#define IPV6_HEADER 40
#define TCP_HEADER 20
#define UDP_HEADER 8
#define ICMP_HEADER 8

#ifndef ETHERTYPE_QINQ
#define ETHERTYPE_QINQ 0x88a8 /* IEEE 802.1ad; net/ethernet.h has no name for it */
#endif

static void parse_transport(const uint8_t *data, struct packet *packet, uint8_t protocol)
{
	uint16_t room = packet->end - packet->l4;
	uint16_t header;

	switch (protocol) {
	case IPPROTO_TCP:
		packet->kind = PACKET_OPAQUE;
		if (room < TCP_HEADER)
			return;
		header = (data[packet->l4 + 12] >> 4) * 4;
		if (header < TCP_HEADER || header > room) {
			/* Its ports are readable, but no receiver takes it: forward it, merge nothing into it. */
			header = room;
			packet->plain = false;
		}
		packet->payload = packet->l4 + header;
		packet->kind = PACKET_TCP;
		return;
	case IPPROTO_UDP:
		packet->kind = room >= UDP_HEADER ? PACKET_UDP : PACKET_OTHER;
		return;
	case IPPROTO_ICMP:
		packet->kind = packet->version == 4 && room >= ICMP_HEADER ? PACKET_ICMP : PACKET_OTHER;
		return;
	case IPPROTO_ICMPV6:
		packet->kind = packet->version == 6 && room >= ICMP_HEADER ? PACKET_ICMP6 : PACKET_OTHER;
		return;
	}
}

static void parse_ipv4(const uint8_t *data, uint32_t length, struct packet *packet)
{
	const uint8_t *ip = data + packet->l3;
	uint32_t room = length - packet->l3;
	uint16_t header, total;

	packet->kind = PACKET_OPAQUE;
	if (room < IPV4_HEADER || ip[0] >> 4 != 4)
		return;
	header = (ip[0] & 0xf) * 4;
	total = packet_get16(ip + 2);
	if (header < IPV4_HEADER || total < header || total > room)
		return;
	packet->version = 4;
	packet->plain = header == IPV4_HEADER;
	packet->l4 = packet->l3 + header;
	packet->end = packet->l3 + total;
	/* More-fragments or an offset: of a fragmented segment only the first part has ports. */
	if (packet_get16(ip + 6) & 0x3fff) {
		packet->kind = ip[9] == IPPROTO_TCP ? PACKET_OPAQUE : PACKET_OTHER;
		return;
	}
	packet->kind = PACKET_OTHER;
	parse_transport(data, packet, ip[9]);
}

static void parse_ipv6(const uint8_t *data, uint32_t length, struct packet *packet)
{
	const uint8_t *ip = data + packet->l3;
	uint32_t room = length - packet->l3, total, at = IPV6_HEADER;
	uint8_t next;

	packet->kind = PACKET_OPAQUE;
	if (room < IPV6_HEADER || ip[0] >> 4 != 6)
		return;
	total = IPV6_HEADER + packet_get16(ip + 4);
	if (total > room)
		return;
	packet->version = 6;
	packet->plain = true;
	packet->end = packet->l3 + total;
	next = ip[6];
	for (int i = 0; i < PACKET_EXTENSIONS; i++) {
		switch (next) {
		case IPPROTO_HOPOPTS:
		case IPPROTO_ROUTING:
		case IPPROTO_DSTOPTS:
		case IPPROTO_MH:
			if (at + 8 > total)
				return;
			next = ip[at];
			at += (ip[at + 1] + 1) * 8;
			break;
		case IPPROTO_AH:
			/* RFC 4302: its length counts 4-byte words, minus two. */
			if (at + 8 > total)
				return;
			next = ip[at];
			at += (ip[at + 1] + 2) * 4;
			break;
		case IPPROTO_FRAGMENT:
			return;
		default:
			packet->l4 = packet->l3 + at;
			packet->kind = PACKET_OTHER;
			parse_transport(data, packet, next);
			return;
		}
		packet->plain = false;
		if (at > total)
			return;
	}
}

void packet_parse(const uint8_t *data, uint32_t length, struct packet *packet)
{
	uint32_t at = ETHER_HEADER;
	uint16_t type;

	*packet = (struct packet){ .kind = PACKET_OTHER };
	if (length > UINT16_MAX) {
		packet->kind = PACKET_OPAQUE;
		return;
	}
	if (length < ETHER_HEADER)
		return;
	type = packet_get16(data + 12);
	for (int i = 0; i < PACKET_VLANS && (type == ETHERTYPE_VLAN || type == ETHERTYPE_QINQ); i++) {
		if (at + VLAN_TAG > length)
			return;
		type = packet_get16(data + at + 2);
		at += VLAN_TAG;
	}
	packet->l3 = at;
	if (type == ETHERTYPE_IP)
		parse_ipv4(data, length, packet);
	else if (type == ETHERTYPE_IPV6)
		parse_ipv6(data, length, packet);
	else if (type == ETHERTYPE_ARP)
		packet->kind = PACKET_ARP;
}

void packet_key(const uint8_t *data, const struct packet *packet, struct packet_key *key)
{
	const uint8_t *ip = data + packet->l3;

	memset(key, 0, sizeof(*key));
	key->version = packet->version;
	if (packet->version == 4) {
		memcpy(key->source, ip + 12, 4);
		memcpy(key->target, ip + 16, 4);
	} else {
		memcpy(key->source, ip + 8, 16);
		memcpy(key->target, ip + 24, 16);
	}
	memcpy(&key->source_port, data + packet->l4, sizeof(key->source_port));
	memcpy(&key->target_port, data + packet->l4 + 2, sizeof(key->target_port));
	for (int i = 0; i < PACKET_VLANS; i++) {
		uint32_t tag = ETHER_HEADER + i * VLAN_TAG;

		key->vlan[i] = tag < packet->l3 ? htons(packet_get16(data + tag) & 0xfff) : 0xffff;
	}
}

uint64_t packet_pseudo_sum(const uint8_t *data, const struct packet *packet, uint8_t protocol, uint32_t length)
{
	const uint8_t *ip = data + packet->l3;
	uint64_t sum = (uint64_t)htons(protocol) + htons(length >> 16) + htons(length & 0xffff);

	return packet->version == 4 ? sum_bytes(ip + 12, 8, sum) : sum_bytes(ip + 8, 32, sum);
}
