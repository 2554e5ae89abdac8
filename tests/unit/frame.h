/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Makes Ethernet frames with TCP, UDP or ICMP in them, and checks the checksums of others: independent of the code
 * under test. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define FRAME_MAX 2048

struct frame_spec {
	bool v6;
	int vlans;    /* 0 … 2 */
	uint16_t tci; /* of the innermost tag */
	uint16_t source_port, target_port;
	uint32_t sequence, ack;
	uint8_t flags;
	uint16_t window;
	uint8_t tos, ttl;
	bool dont_fragment;
	uint16_t id;
	const uint8_t *options; /* TCP options, a multiple of four bytes */
	uint8_t options_length;
	bool pad; /* to Ethernet's minimum of 60 bytes, with noise */
};

/* A client's segment with data, on its way to a server. */
static inline struct frame_spec frame_plain(void)
{
	return (struct frame_spec){
		.source_port = 1234,
		.target_port = 80,
		.sequence = 1000,
		.ack = 77,
		.flags = 0x18,
		.window = 500,
		.ttl = 64,
		.dont_fragment = true,
	};
}

static inline void put16(uint8_t *at, uint16_t value)
{
	at[0] = value >> 8;
	at[1] = value;
}

static inline void put32(uint8_t *at, uint32_t value)
{
	put16(at, value >> 16);
	put16(at + 2, value);
}

static inline uint16_t get16(const uint8_t *at)
{
	return at[0] << 8 | at[1];
}

static inline uint32_t get32(const uint8_t *at)
{
	return (uint32_t)get16(at) << 16 | get16(at + 2);
}

/* RFC 1071 as it is printed: big-endian words, byte by byte. */
static inline uint32_t plain_sum(const uint8_t *at, uint32_t length, uint32_t sum)
{
	for (uint32_t i = 0; i + 1 < length; i += 2)
		sum += get16(at + i);
	if (length & 1)
		sum += at[length - 1] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static inline uint32_t plain_pseudo(const uint8_t *ip, uint8_t protocol, uint32_t length)
{
	bool v6 = ip[0] >> 4 == 6;

	return plain_sum(ip + (v6 ? 8 : 12), v6 ? 32 : 8, protocol + length);
}

static inline uint32_t frame_l3(const uint8_t *frame)
{
	uint32_t at = 12;

	while (get16(frame + at) == 0x8100 || get16(frame + at) == 0x88a8)
		at += 4;
	return at + 2;
}

static inline uint32_t frame_l4(const uint8_t *frame)
{
	uint32_t l3 = frame_l3(frame);

	return l3 + (frame[l3] >> 4 == 6 ? 40 : (frame[l3] & 15) * 4);
}

static inline uint32_t frame_end(const uint8_t *frame)
{
	uint32_t l3 = frame_l3(frame);

	return l3 + (frame[l3] >> 4 == 6 ? 40 + get16(frame + l3 + 4) : get16(frame + l3 + 2));
}

/* Fills in the checksums of IP and of the transport whose checksum field is `offset` bytes in. */
static inline void frame_sum(uint8_t *frame, uint8_t protocol, uint32_t offset)
{
	uint8_t *ip = frame + frame_l3(frame), *l4 = frame + frame_l4(frame);
	uint32_t length = frame + frame_end(frame) - l4;

	if (ip[0] >> 4 == 4) {
		put16(ip + 10, 0);
		put16(ip + 10, ~plain_sum(ip, (ip[0] & 15) * 4, 0));
	}
	put16(l4 + offset, 0);
	put16(l4 + offset, ~plain_sum(l4, length, protocol == 1 ? 0 : plain_pseudo(ip, protocol, length)));
}

static inline bool frame_sums_right(const uint8_t *frame, uint8_t protocol)
{
	const uint8_t *ip = frame + frame_l3(frame), *l4 = frame + frame_l4(frame);
	uint32_t length = frame + frame_end(frame) - l4;

	if (ip[0] >> 4 == 4 && plain_sum(ip, (ip[0] & 15) * 4, 0) != 0xffff)
		return false;
	return plain_sum(l4, length, protocol == 1 ? 0 : plain_pseudo(ip, protocol, length)) == 0xffff;
}

/* Link and IP header for `length` bytes of transport; returns where those go. */
static inline uint32_t frame_head(uint8_t *frame, const struct frame_spec *spec, uint8_t protocol, uint32_t length)
{
	static const uint8_t macs[12] = { 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1 };
	uint32_t at = 12;

	memcpy(frame, macs, sizeof(macs));
	for (int i = 0; i < spec->vlans; i++) {
		put16(frame + at, i + 1 < spec->vlans ? 0x88a8 : 0x8100);
		put16(frame + at + 2, i + 1 < spec->vlans ? 7 : spec->tci);
		at += 4;
	}
	put16(frame + at, spec->v6 ? 0x86dd : 0x0800);
	at += 2;
	if (spec->v6) {
		memset(frame + at, 0, 40);
		put32(frame + at, 6u << 28 | (uint32_t)spec->tos << 20 | spec->id);
		put16(frame + at + 4, length);
		frame[at + 6] = protocol;
		frame[at + 7] = spec->ttl;
		put16(frame + at + 8, 0xfd00);
		frame[at + 23] = 1;
		put16(frame + at + 24, 0xfd00);
		frame[at + 39] = 2;
		return at + 40;
	}
	memset(frame + at, 0, 20);
	frame[at] = 0x45;
	frame[at + 1] = spec->tos;
	put16(frame + at + 2, 20 + length);
	put16(frame + at + 4, spec->id);
	put16(frame + at + 6, spec->dont_fragment ? 0x4000 : 0);
	frame[at + 8] = spec->ttl;
	frame[at + 9] = protocol;
	put32(frame + at + 12, 0x0a000001);
	put32(frame + at + 16, 0x0a000002);
	return at + 20;
}

/* A TCP segment; returns the frame's length. */
static inline uint32_t frame_tcp(uint8_t *frame, const struct frame_spec *spec, const uint8_t *data, uint32_t length)
{
	uint32_t header = 20 + spec->options_length, at = frame_head(frame, spec, 6, header + length);

	put16(frame + at, spec->source_port);
	put16(frame + at + 2, spec->target_port);
	put32(frame + at + 4, spec->sequence);
	put32(frame + at + 8, spec->ack);
	frame[at + 12] = header / 4 << 4;
	frame[at + 13] = spec->flags;
	put16(frame + at + 14, spec->window);
	put16(frame + at + 18, 0);
	if (spec->options_length)
		memcpy(frame + at + 20, spec->options, spec->options_length);
	if (length)
		memcpy(frame + at + header, data, length);
	frame_sum(frame, 6, 16);
	at += header + length;
	if (spec->pad && at < 60) {
		memset(frame + at, 0xa5, 60 - at);
		at = 60;
	}
	return at;
}
