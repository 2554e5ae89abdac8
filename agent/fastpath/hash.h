/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* murmur3's finaliser, word by word: cheap, and begun with a seed that the outside does not know. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t hash_bytes(const void *bytes, size_t length, uint64_t seed)
{
	const uint8_t *at = bytes;
	uint64_t hash = seed, word;

	for (; length; at += sizeof(word)) {
		size_t part = length < sizeof(word) ? length : sizeof(word);

		word = 0;
		memcpy(&word, at, part);
		length -= part;
		hash ^= word;
		hash *= 0xff51afd7ed558ccdull;
		hash ^= hash >> 33;
	}
	hash *= 0xc4ceb9fe1a85ec53ull;
	return hash ^ hash >> 33;
}
