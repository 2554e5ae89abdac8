/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * How large a packet of a flow may be at most: what its receiver announced in its SYN (the MSS option), and what
 * routers behind us have said since (ICMP "fragmentation needed", ICMPv6 "packet too big"). Both come by in the other
 * direction, perhaps on another core: so one table serves both directions of a wire, without a lock. Pure.
 *
 * An entry is replaced by that of another flow, so a limit may be forgotten, which is safe: who knows none is careful.
 */
#pragma once
#include <stdint.h>

#include "fastpath/packet.h"

struct mss_table;

/* seed: random, so that nobody can aim flows at one entry. NULL without memory. */
struct mss_table *mss_new(uint64_t seed);
void mss_free(struct mss_table *table);

/* Learns from a packet that goes the other way than what it is about: a SYN, or an ICMP error. */
void mss_learn(struct mss_table *table, const uint8_t *data, const struct packet *packet);
/* The largest IP packet of the flow, 0 if nothing is known of it. */
uint32_t mss_limit(const struct mss_table *table, const struct packet_key *key);
/* The same where nothing is known: what every receiver takes (RFC 9293, RFC 8200). */
uint32_t mss_careful(uint8_t version);
