/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The Internet checksum (RFC 1071) as a running one's complement sum, so that sums of parts can be added up (RFC
 * 1624). */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * Adds `length` bytes to a sum; a trailing odd byte counts as if a zero followed. Words are read in host order: the sum
 * is then the byte-swapped one on little-endian machines, which RFC 1071 section 2 (B) allows as long as it is stored
 * the same way.
 */
static inline uint64_t sum_bytes(const void *bytes, size_t length, uint64_t sum)
{
	const uint8_t *at = bytes;
	uint32_t word;
	uint16_t half;

	for (; length >= sizeof(word); at += sizeof(word), length -= sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		sum += word;
	}
	if (length >= sizeof(half)) {
		memcpy(&half, at, sizeof(half));
		sum += half;
		at += sizeof(half);
		length -= sizeof(half);
	}
	if (length) {
		half = 0;
		memcpy(&half, at, 1);
		sum += half;
	}
	return sum;
}

/* Down to 16 bits. */
static inline uint16_t sum_fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* The sum of bytes that start at an odd offset: its halves trade places. */
static inline uint16_t sum_shift(uint16_t sum)
{
	return (uint16_t)(sum << 8 | sum >> 8);
}

/* A checksum field after one 16-bit word under it changed from `old` to `new` (all as stored, in network order). */
static inline uint16_t sum_update(uint16_t check, uint16_t old, uint16_t new)
{
	return ~sum_fold((uint64_t)(uint16_t)~check + (uint16_t)~old + new);
}
