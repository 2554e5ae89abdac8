/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Policy sets and flows at random, for tests of what decides: peers nested in each other and side by side, of both
 * families, up to the ends of the address space; programs by name and by pattern; sides; control groups; ranges.
 * Include it after fixture.h.
 */
#pragma once
#include <arpa/inet.h>
#include <stdio.h>

/* What the rules' control groups are, without directories: that of index i has id i + 1, and /gone is not there. */
static const char *const random_cgroups[] = { "/a", "/a/b", "/c" };
#define RANDOM_CGROUPS (sizeof(random_cgroups) / sizeof(random_cgroups[0]))

/* Chains of control groups a flow may be in: indices into random_cgroups, ended by -1. */
static const int random_inside[][3] = { { -1 }, { 0, -1 }, { 0, 1, -1 }, { 2, -1 } };
#define RANDOM_INSIDE (sizeof(random_inside) / sizeof(random_inside[0]))

struct random_flow {
	struct ac_facts facts;
	uint64_t cgroups[16]; /* the flow's and those above it, ended by 0 */
};

static inline bool random_in_prefix(const struct policy_peer *peer, const uint8_t address[16])
{
	for (int i = 0; i < peer->bits; i++) {
		if ((peer->address[i / 8] ^ address[i / 8]) & 0x80 >> i % 8)
			return false;
	}
	return true;
}

/* Few first bytes and few others, so that prefixes nest often. */
static inline void random_address(uint8_t address[16])
{
	static const uint8_t bytes[] = { 0, 0, 0, 0x80, 0xff, 1 };
	bool v4 = random() % 2;

	for (int i = 0; i < 16; i++)
		address[i] = v4 && i < 10 ? 0 : v4 && i < 12 ? 0xff : bytes[random() % 6];
	if (!v4)
		address[0] = (uint8_t[]){ 0, 0xfd, 0xff, 0x80 }[random() % 4];
}

static inline void random_prefix(struct policy_peer *peer)
{
	random_address(peer->address);
	peer->bits = (uint8_t)(random() % 4 ? (random() % 17) * 8 : 1 + random() % 128);
	if (!peer->bits)
		peer->bits = 128;
	for (int i = peer->bits; i < 128; i++)
		peer->address[i / 8] &= (uint8_t) ~(0x80 >> i % 8);
}

static inline void random_peers(FILE *out, size_t at_most)
{
	struct policy_peer peers[8];
	size_t count = 0;

	for (size_t i = 0; i < at_most; i++) {
		char text[INET6_ADDRSTRLEN];
		bool overlaps = false;

		random_prefix(&peers[count]);
		for (size_t k = 0; k < count; k++)
			overlaps |= random_in_prefix(&peers[k], peers[count].address) ||
				    random_in_prefix(&peers[count], peers[k].address);
		if (overlaps)
			continue;
		fprintf(out, "%s%s/%u",
			count ? ", " : "peers = ", inet_ntop(AF_INET6, peers[count].address, text, sizeof(text)),
			peers[count].bits);
		count++;
	}
	fputc('\n', out);
}

/* The text of a file with up to `at_most` policies; the caller frees it. */
static inline char *random_policies(long at_most)
{
	static const char *const sides[] = { "any", "server", "client" };
	static const char *const programs[] = { "a", "b", "a, b", "a, c*", "b*", "*", "?[a-b]*" };
	static const char *const cgroups[] = { "/a", "/a/b", "/c, /a", "/gone", "/" };
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	for (long i = 1 + random() % at_most; i; i--) {
		fprintf(out, "[policy p%ld]\nmode = off\nside = %s\n", i, sides[random() % 3]);
		if (random() % 4) {
			long port = 1 + random() % 40;

			fprintf(out, "ports = ");
			for (long k = 1 + random() % 4; k; k--) {
				long last = port + random() % 3 * (random() % 9);

				fprintf(out, "%ld-%ld%s", port, last, k > 1 ? ", " : "\n");
				port = last + 1 + random() % 10;
			}
		}
		if (random() % 2)
			fprintf(out, "programs = %s\n", programs[random() % 7]);
		if (random() % 4 == 0)
			fprintf(out, "cgroups = %s\n", cgroups[random() % 5]);
		if (random() % 3)
			random_peers(out, 1 + (size_t)random() % 8);
	}
	fclose(out);
	return text;
}

/* Gives the rules the ids of random_cgroups. */
static inline void random_resolve(struct policy_set *set)
{
	for (size_t cgroup = 0; cgroup < set->cgroup_count; cgroup++) {
		for (size_t i = 0; i < RANDOM_CGROUPS; i++)
			if (!strcmp(set->cgroups[cgroup].path, random_cgroups[i]))
				set->cgroups[cgroup].id = i + 1;
	}
	for (size_t rule = 0; rule < set->rule_count; rule++) {
		if (set->rule_cgroups[rule])
			set->rules[rule].cgroup = set->cgroups[set->rule_cgroups[rule] - 1].id;
	}
}

/* A flow from an address in, or just outside, a prefix of the set, or from anywhere. */
static inline void random_peer_near(const struct policy_set *set, uint8_t address[16])
{
	const struct ac_rule *rule = set->rule_count ? &set->rules[(size_t)random() % set->rule_count] : NULL;
	long how = random() % 5;

	random_address(address);
	if (!rule || !rule->peer_bits || !how)
		return;
	for (int i = 0; i < rule->peer_bits; i++) {
		address[i / 8] &= (uint8_t) ~(0x80 >> i % 8);
		address[i / 8] |= (uint8_t)(rule->peer[i / 8] & 0x80 >> i % 8);
	}
	if (how < 3) {
		/* Its first or its last address, and the one before or after it. */
		for (int i = rule->peer_bits; i < 128; i++) {
			address[i / 8] &= (uint8_t) ~(0x80 >> i % 8);
			address[i / 8] |= (uint8_t)(how == 1 ? 0 : 0x80 >> i % 8);
		}
		for (int i = 15; random() % 2 && i >= 0; i--)
			if (how == 1 ? address[i]-- : ++address[i])
				break;
	}
}

static inline void random_flow(const struct policy_set *set, struct random_flow *flow)
{
	static const char *const comms[] = { "a", "b", "c", "cb", "" };
	const int *inside = random_inside[random() % RANDOM_INSIDE];

	memset(flow, 0, sizeof(*flow));
	flow->facts.port = (uint16_t)(random() % 70);
	flow->facts.side = (uint8_t)(1 + random() % 2);
	random_peer_near(set, flow->facts.peer);
	strcpy(flow->facts.comm, comms[random() % 5]);
	for (size_t i = 0; inside[i] >= 0; i++)
		flow->cgroups[i] = (uint64_t)inside[i] + 1;
}

/* A policy_in_cgroup; the context is the flow. */
static inline bool random_in_cgroup(uint64_t cgroup, void *context)
{
	const struct random_flow *flow = context;

	for (const uint64_t *id = flow->cgroups; *id; id++) {
		if (*id == cgroup)
			return true;
	}
	return false;
}
