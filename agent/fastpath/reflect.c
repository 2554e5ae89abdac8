/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The reflector: see reflect.h. */
#include "fastpath/reflect.h"

#include <netinet/in.h>
#include <string.h>

#include "fastpath/checksum.h"
#include "fastpath/hash.h"
#include "fastpath/packet.h"

#define MAC 6
#define IP4_TTL 8
#define IP4_CHECK 10
#define IP4_SOURCE 12
#define IP4_TARGET 16
#define IP4_SIZE 20
#define IP6_HOPS 7
#define IP6_SOURCE 8
#define IP6_TARGET 24
#define UDP_SIZE 8
#define UDP_LENGTH 4
#define UDP_CHECK 6
#define ICMP_CHECK 2
#define ECHO_REPLY 0
#define ECHO_REQUEST 8
#define ECHO6_REQUEST 128
#define ECHO6_REPLY 129
#define NEIGHBOUR_SOLICIT 135
#define NEIGHBOUR_ADVERT 136
#define NEIGHBOUR_SIZE 24	/* up to the options */
#define NEIGHBOUR_LINK_OPTION 8 /* type, length in units of 8, MAC */
#define ARP_SIZE 28

static void swap(uint8_t *a, uint8_t *b, size_t length)
{
	uint8_t kept[16];

	memcpy(kept, a, length);
	memcpy(a, b, length);
	memcpy(b, kept, length);
}

/* The v4-mapped form in which addresses are configured. */
static void mapped(uint8_t out[16], const uint8_t *v4)
{
	memset(out, 0, 10);
	memset(out + 10, 0xff, 2);
	memcpy(out + 12, v4, 4);
}

static bool owned(const struct reflect_options *options, const uint8_t address[16])
{
	for (size_t i = 0; i < options->address_count; i++)
		if (!memcmp(options->addresses[i], address, 16))
			return true;
	return false;
}

static void answer_to_sender(const struct reflect_options *options, uint8_t *data)
{
	memcpy(data, data + MAC, MAC);
	memcpy(data + MAC, options->mac, MAC);
}

/* RFC 826, for Ethernet and IPv4. */
static bool reflect_arp(const struct reflect_options *options, uint8_t *data, uint32_t length, uint16_t l3)
{
	static const uint8_t request[8] = { 0, 1, 8, 0, MAC, 4, 0, 1 };
	uint8_t *arp = data + l3, address[16];

	if (length < l3 + (uint32_t)ARP_SIZE || memcmp(arp, request, sizeof(request)))
		return false;
	mapped(address, arp + 24);
	if (!owned(options, address))
		return false;
	answer_to_sender(options, data);
	arp[7] = 2;
	swap(arp + 8, arp + 18, MAC + 4);
	memcpy(arp + 8, options->mac, MAC);
	return true;
}

/* RFC 4861. Only a solicitation with the sender's link address: its answer is as long as the question. */
static bool reflect_neighbour(const struct reflect_options *options, uint8_t *data, const struct packet *packet)
{
	uint8_t *ip = data + packet->l3, *icmp = data + packet->l4, *option = icmp + NEIGHBOUR_SIZE;
	uint16_t length = packet->end - packet->l4, check;

	if (length != NEIGHBOUR_SIZE + NEIGHBOUR_LINK_OPTION || ip[IP6_HOPS] != 255 || icmp[1] || option[0] != 1 ||
	    option[1] != 1 || !owned(options, icmp + 8))
		return false;
	answer_to_sender(options, data);
	memcpy(ip + IP6_TARGET, ip + IP6_SOURCE, 16);
	memcpy(ip + IP6_SOURCE, icmp + 8, 16);
	icmp[0] = NEIGHBOUR_ADVERT;
	memset(icmp + ICMP_CHECK, 0, 2);
	memset(icmp + 4, 0, 4);
	icmp[4] = 0x60; /* solicited, override */
	option[0] = 2;	/* target link-layer address */
	memcpy(option + 2, options->mac, MAC);
	check = ~sum_fold(sum_bytes(icmp, length, packet_pseudo_sum(data, packet, IPPROTO_ICMPV6, length)));
	memcpy(icmp + ICMP_CHECK, &check, sizeof(check));
	return true;
}

/* Sends an IP packet back to where it came from. False if it may not be answered. */
static bool turn_round(const struct reflect_options *options, uint8_t *data, const struct packet *packet)
{
	uint8_t *ip = data + packet->l3, target[16];
	uint16_t check;

	if (memcmp(data, options->mac, MAC) || data[MAC] & 1)
		return false;
	if (packet->version == 4)
		mapped(target, ip + IP4_TARGET);
	else
		memcpy(target, ip + IP6_TARGET, 16);
	if (options->address_count && !owned(options, target))
		return false;
	if (packet->version == 4) {
		/* 0/8, multicast and broadcast are nobody's to answer to (RFC 1122, 3.2.1.3). */
		if (!ip[IP4_SOURCE] || ip[IP4_SOURCE] >= 224 || !ip[IP4_TARGET] || ip[IP4_TARGET] >= 224 ||
		    ip[IP4_TTL] < 2 || sum_fold(sum_bytes(ip, packet->l4 - packet->l3, 0)) != 0xffff)
			return false;
		swap(ip + IP4_SOURCE, ip + IP4_TARGET, 4);
		ip[IP4_TTL]--;
		memset(ip + IP4_CHECK, 0, 2);
		check = ~sum_fold(sum_bytes(ip, packet->l4 - packet->l3, 0));
		memcpy(ip + IP4_CHECK, &check, sizeof(check));
	} else {
		static const uint8_t unspecified[16];

		if (ip[IP6_SOURCE] == 0xff || ip[IP6_TARGET] == 0xff || !memcmp(ip + IP6_SOURCE, unspecified, 16) ||
		    ip[IP6_HOPS] < 2)
			return false;
		swap(ip + IP6_SOURCE, ip + IP6_TARGET, 16);
		ip[IP6_HOPS]--;
	}
	answer_to_sender(options, data);
	return true;
}

static bool reflect_echo(const struct reflect_options *options, uint8_t *data, const struct packet *packet)
{
	uint8_t *icmp = data + packet->l4;
	uint8_t answer = packet->version == 4 ? ECHO_REPLY : ECHO6_REPLY;
	uint16_t old, new, check;

	memcpy(&old, icmp, sizeof(old));
	if (!turn_round(options, data, packet))
		return false;
	icmp[0] = answer;
	memcpy(&new, icmp, sizeof(new));
	memcpy(&check, icmp + ICMP_CHECK, sizeof(check));
	/* The pseudo header of ICMPv6 sums up the same with its addresses exchanged. */
	check = sum_update(check, old, new);
	memcpy(icmp + ICMP_CHECK, &check, sizeof(check));
	return true;
}

static bool sum_right(const uint8_t *data, const struct packet *packet, uint64_t pseudo)
{
	return sum_fold(sum_bytes(data + packet->l4, packet->end - packet->l4, pseudo)) == 0xffff;
}

static bool has_port(const struct reflect_options *options, uint16_t port)
{
	return options->ports[port / 64] >> port % 64 & 1;
}

/* May a datagram between these ports be answered? */
static bool answers(const struct reflect_options *options, uint16_t from, uint16_t to)
{
	if (from < REFLECT_SOURCE_MIN || from == to)
		return false;
	return !options->some_ports || (has_port(options, to) && !has_port(options, from));
}

static bool seen_too_often(const struct reflect_state *state, const uint8_t *data, const struct packet *packet)
{
	const uint8_t *payload = data + packet->l4 + UDP_SIZE;
	struct packet_key key;
	uint64_t hash;

	packet_key(data, packet, &key);
	hash = hash_bytes(&key, sizeof(key), state->seed);
	return !echoes_allow(state->echoes, hash_bytes(payload, data + packet->end - payload, hash), state->now_ns);
}

static bool reflect_udp(const struct reflect_options *options, const struct reflect_state *state, uint8_t *data,
			const struct packet *packet)
{
	uint8_t *udp = data + packet->l4;
	uint16_t length = packet->end - packet->l4;
	bool unchecked = !udp[UDP_CHECK] && !udp[UDP_CHECK + 1];

	if (packet_get16(udp + UDP_LENGTH) != length || !answers(options, packet_get16(udp), packet_get16(udp + 2)) ||
	    (unchecked && packet->version == 6))
		return false;
	if (!unchecked && !sum_right(data, packet, packet_pseudo_sum(data, packet, IPPROTO_UDP, length)))
		return false;
	if (seen_too_often(state, data, packet) || !turn_round(options, data, packet))
		return false;
	swap(udp, udp + 2, 2);
	return true;
}

bool reflect_frame(const struct reflect_options *options, const struct reflect_state *state, uint8_t *data,
		   uint32_t length)
{
	struct packet packet;
	const uint8_t *icmp;

	packet_parse(data, length, &packet);
	icmp = data + packet.l4;
	switch (packet.kind) {
	case PACKET_ARP:
		return reflect_arp(options, data, length, packet.l3);
	case PACKET_ICMP:
		return icmp[0] == ECHO_REQUEST && !icmp[1] && sum_right(data, &packet, 0) &&
		       reflect_echo(options, data, &packet);
	case PACKET_ICMP6:
		if (!sum_right(data, &packet, packet_pseudo_sum(data, &packet, IPPROTO_ICMPV6, packet.end - packet.l4)))
			return false;
		if (icmp[0] == NEIGHBOUR_SOLICIT)
			return packet.plain && reflect_neighbour(options, data, &packet);
		return icmp[0] == ECHO6_REQUEST && !icmp[1] && reflect_echo(options, data, &packet);
	case PACKET_UDP:
		return reflect_udp(options, state, data, &packet);
	default:
		return false;
	}
}
