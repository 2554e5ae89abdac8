/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The reflector: turns a request into its answer, in place. ICMP and ICMPv6 echo, UDP echo, and, for addresses that it
 * is told to own, ARP and IPv6 neighbour solicitations. Pure.
 *
 * What might be another service's answer is not answered, or a forged datagram would have the two talk for ever: from a
 * port below 1024, from the port it is sent to, from one that is answered on here. Other ports may have such a service
 * as well: see echoes.h. And an answer leaves with a TTL one below the request's.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fastpath/echoes.h"

#define REFLECT_ADDRESSES 16
#define REFLECT_PORT_WORDS (65536 / 64)
#define REFLECT_SOURCE_MIN 1024 /* below are services, which may answer an answer */

struct reflect_options {
	uint8_t mac[6]; /* the port's: frames to other stations are not answered */
	/*
	 * IPv6, or IPv4 in v4-mapped form. None: every address that reaches this MAC is answered for (what a steering
	 * rule let through), and ARP and neighbour discovery are left to the kernel.
	 */
	uint8_t addresses[REFLECT_ADDRESSES][16];
	size_t address_count;
	/* UDP ports that are answered on, a bit each, if `some_ports`; else all are. */
	bool some_ports;
	uint64_t ports[REFLECT_PORT_WORDS];
};

struct reflect_state {
	struct echoes *echoes;
	uint64_t seed, now_ns;
};

/* True if `data` now holds the answer, as long as the request was. False: nothing to answer, data is as it was. */
bool reflect_frame(const struct reflect_options *options, const struct reflect_state *state, uint8_t *data,
		   uint32_t length);
