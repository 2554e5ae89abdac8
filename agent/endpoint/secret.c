/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What an outsider must not foresee: initial sequence numbers (RFC 6528), the places of connections in the table.
 * SipHash with keys from getrandom(), as the kernel does it.
 */
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "endpoint/tcp_inside.h"
#include "hooks.h"

static struct {
	uint64_t isn[2], table[2];
	uint64_t random;
} keys;

int secret_setup(void)
{
	return getrandom(&keys, sizeof(keys), 0) == sizeof(keys) ? 0 : -errno;
}

static inline uint64_t rotate(uint64_t value, int bits)
{
	return value << bits | value >> (64 - bits);
}

static inline void sip_round(uint64_t v[4])
{
	v[0] += v[1], v[1] = rotate(v[1], 13), v[1] ^= v[0], v[0] = rotate(v[0], 32);
	v[2] += v[3], v[3] = rotate(v[3], 16), v[3] ^= v[2];
	v[0] += v[3], v[3] = rotate(v[3], 21), v[3] ^= v[0];
	v[2] += v[1], v[1] = rotate(v[1], 17), v[1] ^= v[2], v[2] = rotate(v[2], 32);
}

/* SipHash-c-d of whole words (J.-P. Aumasson, D. J. Bernstein, 2012). */
static uint64_t sip_hash(const uint64_t key[2], const uint64_t *words, unsigned count, int c, int d)
{
	uint64_t v[4] = { key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d, key[0] ^ 0x6c7967656e657261,
			  key[1] ^ 0x7465646279746573 };

	for (unsigned i = 0; i <= count; i++) {
		uint64_t word = i < count ? words[i] : (uint64_t)count << 59;
		v[3] ^= word;
		for (int r = 0; r < c; r++)
			sip_round(v);
		v[0] ^= word;
	}
	v[2] ^= 0xff;
	for (int r = 0; r < d; r++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static unsigned put_address(uint64_t *words, const ip_addr_t *address)
{
	if (IP_IS_V4(address)) {
		words[0] = ip_2_ip4(address)->addr;
		return 1;
	}
	memcpy(words, ip_2_ip6(address)->addr, 16);
	return 2;
}

static unsigned put_connection(uint64_t words[5], const ip_addr_t *local_ip, u16_t local_port,
			       const ip_addr_t *remote_ip, u16_t remote_port)
{
	unsigned count = put_address(words, local_ip);

	count += put_address(words + count, remote_ip);
	words[count++] = (uint64_t)local_port << 16 | remote_port;
	return count;
}

u32_t engine_hook_isn(const ip_addr_t *local_ip, u16_t local_port, const ip_addr_t *remote_ip, u16_t remote_port)
{
	uint64_t words[5];
	unsigned count = put_connection(words, local_ip, local_port, remote_ip, remote_port);

	/* The clock of RFC 793, at the kernel's speed: 64 ns. */
	return (u32_t)sip_hash(keys.isn, words, count, 2, 4) + (u32_t)(engine_current->now >> 6);
}

u32_t engine_hook_hash(const ip_addr_t *local_ip, u16_t local_port, const ip_addr_t *remote_ip, u16_t remote_port)
{
	uint64_t words[5];
	unsigned count = put_connection(words, local_ip, local_port, remote_ip, remote_port);

	return (u32_t)sip_hash(keys.table, words, count, 1, 3);
}

uint32_t engine_random(void)
{
	uint64_t word = keys.random++;

	return (uint32_t)sip_hash(keys.table, &word, 1, 2, 4);
}
