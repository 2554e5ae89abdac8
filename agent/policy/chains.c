/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Sweeps over the ports. Between two neighbouring boundaries of any policy's ranges the same rules apply, so that a
 * stretch of ports shares a chain; and stretches to which the same rules apply, wherever they are, share one too. So do
 * those whose rules for peers are the same and the others differ, and the other way round: each part is put together by
 * itself. What is compared to find that out is a running 128-bit hash of the set of groups in force, not the rules
 * themselves: a boundary costs a few instructions, and a chain is put together only when it is new.
 */
#include "policy/chains.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "lib/memory.h"
#include "policy/peers.h"

enum part_kind { PART_ANY_PEER, PART_PEERS, PART_MAX };

/* The rules of one policy on its ranges of one width: they come and go together, with the same ranks. */
struct group {
	uint32_t first_rule, rule_count;
	uint32_t width;
	enum part_kind part;
	uint32_t slot; /* where in active[] of the part */
	uint64_t hash[2];
};

struct boundary {
	uint32_t port;
	uint32_t group;
	bool opens;
};

/* What a set of groups was put together to. */
struct known_rules {
	uint64_t hash[2];
	struct ac_port at; /* of which PART_ANY_PEER has the chain, PART_PEERS the spans */
	UT_hash_handle hh;
};

struct part {
	uint32_t *active; /* groups in force, in no order */
	size_t active_count, active_rules;
	uint64_t hash[2]; /* of the groups in force */
	struct known_rules *known;
};

struct sweep {
	struct policy_set *set;
	struct group *groups;
	size_t group_count;
	struct boundary *boundaries;
	size_t boundary_count;
	struct part parts[PART_MAX];
};

/* splitmix64: spreads small numbers over 64 bits. */
static uint64_t spread(uint64_t x)
{
	x += 0x9e3779b97f4a7c15;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

static int by_width(const void *a, const void *b)
{
	uint32_t x = policy_range_width(a), y = policy_range_width(b);

	return (x > y) - (x < y);
}

static void add_boundary(struct sweep *sweep, uint32_t port, bool opens)
{
	sweep->boundaries = memory_room(sweep->boundaries, sweep->boundary_count, sizeof(*sweep->boundaries));
	sweep->boundaries[sweep->boundary_count++] = (struct boundary){ port, (uint32_t)sweep->group_count - 1, opens };
}

static void add_policy(struct sweep *sweep, const struct policy_ranges *ports, uint32_t first_rule, uint32_t rule_count)
{
	static struct policy_range every = { 0, AC_PORTS - 1 };
	struct policy_ranges ranges = ports->count ? *ports : (struct policy_ranges){ &every, 1 };
	struct policy_range *sorted = memory_zeroed(ranges.count, sizeof(*sorted));

	memcpy(sorted, ranges.list, ranges.count * sizeof(*sorted));
	qsort(sorted, ranges.count, sizeof(*sorted), by_width);
	for (size_t i = 0; i < ranges.count; i++) {
		if (!i || policy_range_width(&sorted[i]) != policy_range_width(&sorted[i - 1])) {
			uint64_t number = sweep->group_count;

			sweep->groups = memory_room(sweep->groups, sweep->group_count, sizeof(*sweep->groups));
			sweep->groups[sweep->group_count++] = (struct group){
				.first_rule = first_rule,
				.rule_count = rule_count,
				.width = policy_range_width(&sorted[i]),
				/* The peers of a policy do not overlap: if one is any peer, it is the only one. */
				.part = sweep->set->rules[first_rule].peer_bits ? PART_PEERS : PART_ANY_PEER,
				.hash = { spread(2 * number), spread(2 * number + 1) },
			};
		}
		add_boundary(sweep, sorted[i].first, true);
		add_boundary(sweep, (uint32_t)sorted[i].last + 1, false);
	}
	free(sorted);
}

static void add_policies(struct sweep *sweep)
{
	const struct policy_set *set = sweep->set;

	for (uint32_t first = 0, next; first < set->rule_count; first = next) {
		uint32_t policy = set->rules[first].policy;

		for (next = first; next < set->rule_count && set->rules[next].policy == policy; next++)
			;
		add_policy(sweep, &set->origins[policy].config.ports, first, next - first);
	}
}

/* Closing comes first: a group may end and start at neighbouring ports. */
static int by_port(const void *a, const void *b)
{
	const struct boundary *x = a, *y = b;

	return x->port != y->port ? (x->port > y->port) - (x->port < y->port) : x->opens - y->opens;
}

static void cross(struct sweep *sweep, const struct boundary *boundary)
{
	struct group *group = &sweep->groups[boundary->group];
	struct part *part = &sweep->parts[group->part];

	if (boundary->opens) {
		group->slot = (uint32_t)part->active_count;
		part->active[part->active_count++] = boundary->group;
		part->active_rules += group->rule_count;
	} else {
		uint32_t last = part->active[--part->active_count];

		part->active[group->slot] = last;
		sweep->groups[last].slot = group->slot;
		part->active_rules -= group->rule_count;
	}
	part->hash[0] ^= group->hash[0];
	part->hash[1] ^= group->hash[1];
}

static struct ranked *rank_active(const struct sweep *sweep, const struct part *part)
{
	struct ranked *rules = memory_zeroed(part->active_rules, sizeof(*rules)), *next = rules;

	for (size_t i = 0; i < part->active_count; i++) {
		const struct group *group = &sweep->groups[part->active[i]];

		for (uint32_t rule = group->first_rule; rule < group->first_rule + group->rule_count; rule++)
			*next++ = (struct ranked){ rank_rule(sweep->set, rule, group->width), rule };
	}
	return rules;
}

static void build(struct policy_set *set, enum part_kind kind, struct ranked *rules, size_t count, struct ac_port *at)
{
	if (kind == PART_PEERS) {
		at->spans = (uint32_t)set->span_count;
		if (count)
			peers_build(set, rules, count);
		at->span_count = (uint32_t)set->span_count - at->spans;
		return;
	}
	at->chain = (uint32_t)set->chain_count;
	qsort(rules, count, sizeof(*rules), ranked_compare);
	for (size_t i = 0; i < count; i++)
		chain_append(set, rules[i].rule);
	chain_append(set, AC_CHAIN_END);
}

/* Where the tables have what is in force now; it is appended if it is new. */
static struct ac_port part_now(struct sweep *sweep, enum part_kind kind)
{
	struct part *part = &sweep->parts[kind];
	struct known_rules *known;
	struct ranked *rules;

	HASH_FIND(hh, part->known, part->hash, sizeof(part->hash), known);
	if (known)
		return known->at;
	known = memory_zeroed(1, sizeof(*known));
	memcpy(known->hash, part->hash, sizeof(known->hash));
	HASH_ADD(hh, part->known, hash, sizeof(known->hash), known);
	rules = rank_active(sweep, part);
	build(sweep->set, kind, rules, part->active_rules, &known->at);
	free(rules);
	return known->at;
}

static struct ac_port port_now(struct sweep *sweep)
{
	struct ac_port at = part_now(sweep, PART_PEERS);

	at.chain = part_now(sweep, PART_ANY_PEER).chain;
	return at;
}

/* What does not fit, and the policy that has most of it. */
static void tell_overflow(const struct sweep *sweep, uint32_t port, struct chains_overflow *overflow)
{
	bool spans = sweep->set->span_count > AC_SPANS_MAX;
	uint32_t most = 0;

	*overflow = (struct chains_overflow){ .port = port, .spans = spans };
	for (int kind = 0; kind < PART_MAX; kind++) {
		const struct part *part = &sweep->parts[kind];

		overflow->rules += part->active_rules;
		for (size_t i = 0; i < part->active_count; i++) {
			const struct group *group = &sweep->groups[part->active[i]];

			if (group->rule_count <= most || (spans && group->part != PART_PEERS))
				continue;
			most = group->rule_count;
			overflow->policy = sweep->set->rules[group->first_rule].policy;
		}
	}
}

/* Looked at after each port: one port's rules are never more than all, which are bounded. */
static bool fits(const struct policy_set *set)
{
	return set->chain_count <= AC_CHAIN_MAX && set->span_count <= AC_SPANS_MAX;
}

bool chains_build(struct policy_set *set, struct chains_overflow *overflow)
{
	struct sweep sweep = { .set = set };
	struct known_rules *known, *next;
	size_t crossed = 0;

	add_policies(&sweep);
	if (sweep.boundary_count)
		qsort(sweep.boundaries, sweep.boundary_count, sizeof(*sweep.boundaries), by_port);
	for (int kind = 0; kind < PART_MAX; kind++)
		sweep.parts[kind].active = memory_zeroed(sweep.group_count, sizeof(*sweep.parts[kind].active));
	for (uint32_t port = 0; fits(set) && port < AC_PORTS;) {
		struct ac_port now;
		uint32_t end;

		while (crossed < sweep.boundary_count && sweep.boundaries[crossed].port == port)
			cross(&sweep, &sweep.boundaries[crossed++]);
		end = crossed < sweep.boundary_count ? sweep.boundaries[crossed].port : AC_PORTS;
		now = port_now(&sweep);
		if (!fits(set))
			tell_overflow(&sweep, port, overflow);
		for (; port < end; port++)
			set->ports[port] = now;
	}
	for (int kind = 0; kind < PART_MAX; kind++) {
		HASH_ITER(hh, sweep.parts[kind].known, known, next) {
			HASH_DEL(sweep.parts[kind].known, known);
			free(known);
		}
		free(sweep.parts[kind].active);
	}
	free(sweep.boundaries);
	free(sweep.groups);
	return fits(set);
}
