/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What a frame is: Ethernet, up to two VLAN tags, IPv4 or IPv6, and the transport on top. Pure: bytes in, offsets out;
 * no byte beyond the given length is read, whatever the bytes say.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define PACKET_VLANS 2	    /* 802.1ad outside, 802.1Q inside; deeper stacks are PACKET_OTHER */
#define PACKET_EXTENSIONS 8 /* IPv6 extension headers followed; more make a packet opaque */

enum packet_kind {
	PACKET_OTHER, /* cannot carry bytes of a TCP flow: not IP, or another protocol */
	PACKET_ARP,
	PACKET_TCP,
	PACKET_UDP,
	PACKET_ICMP,
	PACKET_ICMP6,
	PACKET_OPAQUE, /* may carry bytes of some TCP flow, unknown of which: fragments, cut or malformed
			* headers */
};

/* Who talks to whom. Compared and hashed as bytes, so every byte is set; addresses of IPv4 use the first four bytes. */
struct packet_key {
	uint8_t source[16], target[16];
	uint16_t source_port, target_port; /* network order */
	uint16_t vlan[PACKET_VLANS];	   /* VLAN ids, network order; 0xffff where there is no tag */
	uint8_t version;		   /* 4 or 6 */
	uint8_t pad[7];
};
_Static_assert(sizeof(struct packet_key) == 48, "no hidden padding");

struct packet {
	enum packet_kind kind;
	uint8_t version;  /* 4 or 6; 0 if not IP */
	bool plain;	  /* no IP options, no extension headers, and the length fields agree with the frame */
	uint16_t l3, l4;  /* offsets into the frame; l4 is set for TCP, UDP, ICMP and ICMP6 */
	uint16_t payload; /* TCP only: offset of the first data byte */
	uint16_t end;	  /* end of the IP datagram; bytes after it are padding */
};

/* Frames longer than 65,535 bytes are PACKET_OPAQUE. */
void packet_parse(const uint8_t *data, uint32_t length, struct packet *packet);
/* For PACKET_TCP and PACKET_UDP. */
void packet_key(const uint8_t *data, const struct packet *packet, struct packet_key *key);
/* Sum of the TCP, UDP or ICMPv6 pseudo header for `length` bytes of `protocol`. */
uint64_t packet_pseudo_sum(const uint8_t *data, const struct packet *packet, uint8_t protocol, uint32_t length);

/* Unaligned access to network-order fields. */
static inline uint16_t packet_get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static inline uint32_t packet_get32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static inline void packet_put16(uint8_t *at, uint16_t value)
{
	at[0] = value >> 8;
	at[1] = value & 0xff;
}
