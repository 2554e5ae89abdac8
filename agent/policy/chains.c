/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Sweeps over the ports. Between two neighbouring boundaries of any policy's ranges the same rules apply, so that a
 * stretch of ports shares a chain; and stretches to which the same rules apply, wherever they are, share one too. What
 * is compared to find that out is a running 128-bit hash of the set of groups in force, not the rules themselves: a
 * boundary costs a few instructions, and a chain is put together only when it is new.
 */
#include "policy/chains.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "lib/memory.h"

/* The rules of one policy on its ranges of one width: they come and go together, with the same ranks. */
struct group {
	uint32_t first_rule, rule_count;
	uint32_t width;
	uint32_t slot;		/* where in active[] */
	uint64_t hash[2];
};

struct boundary {
	uint32_t port;
	uint32_t group;
	bool opens;
};

struct link {
	uint64_t rank;
	uint32_t rule;
};

struct known_chain {
	uint64_t hash[2];
	uint32_t start;
	UT_hash_handle hh;
};

struct sweep {
	struct policy_set *set;
	struct group *groups;
	size_t group_count;
	struct boundary *boundaries;
	size_t boundary_count;
	uint32_t *active;	/* groups in force, in no order */
	size_t active_count, active_rules;
	uint64_t hash[2];	/* of the groups in force */
	struct known_chain *known;
};

/* Literal characters count; a name without wildcards is above every pattern, whatever its length. */
static uint64_t program_rank(const char program[AC_COMM_LEN])
{
	unsigned int literal = 0;
	bool pattern = false, in_set = false;

	for (int i = 0; i < AC_COMM_LEN && program[i]; i++) {
		if (strchr("*?[", program[i]))
			pattern = true;
		if (in_set)
			in_set = program[i] != ']';
		else if (program[i] == '[')
			in_set = true;
		else
			literal += !strchr("*?", program[i]);
	}
	return !program[0] ? 0 : pattern ? 1 + literal : 31;
}

static uint64_t cgroup_depth(const struct policy_set *set, uint32_t rule)
{
	uint64_t depth = 0;

	if (!set->rule_cgroups[rule])
		return 0;
	for (const char *at = set->cgroups[set->rule_cgroups[rule] - 1].path; *at; at++)
		depth += *at == '/';
	return depth < 255 ? depth : 255;
}

uint64_t chains_rank(const struct policy_set *set, uint32_t rule, uint32_t width)
{
	const struct ac_rule *it = &set->rules[rule];
	uint64_t rank = it->peer_bits;

	rank = rank << 8 | cgroup_depth(set, rule);
	rank = rank << 5 | program_rank(it->program);
	rank = rank << 17 | (AC_PORTS - width);
	rank = rank << 1 | (it->side != AC_SIDE_ANY);
	return rank << 16 | it->policy;	/* a tie: the later policy */
}
_Static_assert(AC_POLICIES_MAX <= 65536, "a policy's number fits in the rank");

/* splitmix64: spreads small numbers over 64 bits. */
static uint64_t spread(uint64_t x)
{
	x += 0x9e3779b97f4a7c15;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

static uint32_t range_width(const struct policy_range *range)
{
	return (uint32_t)range->last - range->first + 1;
}

static int by_width(const void *a, const void *b)
{
	uint32_t x = range_width(a), y = range_width(b);

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
		if (!i || range_width(&sorted[i]) != range_width(&sorted[i - 1])) {
			uint64_t number = sweep->group_count;

			sweep->groups = memory_room(sweep->groups, sweep->group_count, sizeof(*sweep->groups));
			sweep->groups[sweep->group_count++] = (struct group){
				.first_rule = first_rule,
				.rule_count = rule_count,
				.width = range_width(&sorted[i]),
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

	if (boundary->opens) {
		group->slot = (uint32_t)sweep->active_count;
		sweep->active[sweep->active_count++] = boundary->group;
		sweep->active_rules += group->rule_count;
	} else {
		uint32_t last = sweep->active[--sweep->active_count];

		sweep->active[group->slot] = last;
		sweep->groups[last].slot = group->slot;
		sweep->active_rules -= group->rule_count;
	}
	sweep->hash[0] ^= group->hash[0];
	sweep->hash[1] ^= group->hash[1];
}

static int by_rank(const void *a, const void *b)
{
	const struct link *x = a, *y = b;

	if (x->rank != y->rank)
		return x->rank < y->rank ? 1 : -1;
	return (x->rule > y->rule) - (x->rule < y->rule);
}

static void append_chain(struct sweep *sweep)
{
	struct policy_set *set = sweep->set;
	struct link *links = memory_zeroed(sweep->active_rules, sizeof(*links));
	size_t count = 0;

	for (size_t i = 0; i < sweep->active_count; i++) {
		const struct group *group = &sweep->groups[sweep->active[i]];

		for (uint32_t rule = group->first_rule; rule < group->first_rule + group->rule_count; rule++)
			links[count++] = (struct link){ chains_rank(set, rule, group->width), rule };
	}
	qsort(links, count, sizeof(*links), by_rank);
	for (size_t i = 0; i <= count; i++) {
		set->chain = memory_room(set->chain, set->chain_count, sizeof(*set->chain));
		set->chain[set->chain_count++] = i < count ? links[i].rule : AC_CHAIN_END;
	}
	free(links);
}

/* The chain of what is in force now; AC_CHAIN_END where it does not fit. */
static uint32_t chain_now(struct sweep *sweep)
{
	struct known_chain *known;

	HASH_FIND(hh, sweep->known, sweep->hash, sizeof(sweep->hash), known);
	if (known)
		return known->start;
	if (sweep->set->chain_count + sweep->active_rules + 1 > AC_CHAIN_MAX)
		return AC_CHAIN_END;
	known = memory_zeroed(1, sizeof(*known));
	memcpy(known->hash, sweep->hash, sizeof(known->hash));
	known->start = (uint32_t)sweep->set->chain_count;
	HASH_ADD(hh, sweep->known, hash, sizeof(known->hash), known);
	append_chain(sweep);
	return known->start;
}

bool chains_build(struct policy_set *set, struct chains_overflow *overflow)
{
	struct sweep sweep = { .set = set };
	struct known_chain *known, *next;
	size_t crossed = 0;
	bool fits = true;

	add_policies(&sweep);
	if (sweep.boundary_count)
		qsort(sweep.boundaries, sweep.boundary_count, sizeof(*sweep.boundaries), by_port);
	sweep.active = memory_zeroed(sweep.group_count, sizeof(*sweep.active));
	for (uint32_t port = 0; fits && port < AC_PORTS;) {
		uint32_t start, end;

		while (crossed < sweep.boundary_count && sweep.boundaries[crossed].port == port)
			cross(&sweep, &sweep.boundaries[crossed++]);
		end = crossed < sweep.boundary_count ? sweep.boundaries[crossed].port : AC_PORTS;
		start = chain_now(&sweep);
		fits = start != AC_CHAIN_END;
		if (!fits)
			*overflow = (struct chains_overflow){ port, sweep.active_rules };
		for (; port < end; port++)
			set->ports[port] = start;
	}
	HASH_ITER(hh, sweep.known, known, next) {
		HASH_DEL(sweep.known, known);
		free(known);
	}
	free(sweep.active);
	free(sweep.boundaries);
	free(sweep.groups);
	return fits;
}
