/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "policy/rank.h"

#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"

bool program_is_pattern(const char program[AC_COMM_LEN])
{
	for (int i = 0; i < AC_COMM_LEN && program[i]; i++)
		if (strchr(POLICY_WILDCARDS, program[i]))
			return true;
	return false;
}

/* Literal characters count; a name without wildcards is above every pattern, whatever its length. */
static uint64_t program_rank(const char *program)
{
	unsigned int literal = 0;
	bool in_set = false;

	if (!program || !program[0])
		return 0;
	for (int i = 0; i < AC_COMM_LEN && program[i]; i++) {
		if (in_set)
			in_set = program[i] != ']';
		else if (program[i] == '[')
			in_set = true;
		else
			literal += !strchr("*?", program[i]);
	}
	return program_is_pattern(program) ? 1 + literal : 31;
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

uint64_t rank_of(const struct rank_facts *facts)
{
	uint64_t rank = facts->peer_bits;

	rank = rank << 8 | facts->cgroup_depth;
	rank = rank << 5 | program_rank(facts->program);
	rank = rank << 17 | (AC_PORTS - facts->width);
	rank = rank << 1 | (facts->side != AC_SIDE_ANY);
	return rank << 16 | facts->policy; /* a tie: the later policy */
}
_Static_assert(AC_POLICIES_MAX <= 65536, "a policy's number fits in the rank");

uint64_t rank_rule(const struct policy_set *set, uint32_t rule, uint32_t width)
{
	const struct ac_rule *it = &set->rules[rule];

	return rank_of(&(struct rank_facts){
		.peer_bits = it->peer_bits,
		.cgroup_depth = cgroup_depth(set, rule),
		.program = it->program,
		.width = width,
		.side = it->side,
		.policy = it->policy,
	});
}

uint32_t policy_range_width(const struct policy_range *range)
{
	return (uint32_t)range->last - range->first + 1;
}

uint32_t policy_width_at(const struct policy_ranges *ports, uint16_t port)
{
	if (!ports->count)
		return AC_PORTS;
	/* They do not overlap. */
	for (size_t i = 0; i < ports->count; i++)
		if (port >= ports->list[i].first && port <= ports->list[i].last)
			return policy_range_width(&ports->list[i]);
	return 0;
}

int ranked_compare(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;

	if (x->rank != y->rank)
		return x->rank < y->rank ? 1 : -1;
	return (x->rule > y->rule) - (x->rule < y->rule);
}

struct ranked *rank_rules_at(const struct policy_set *set, uint16_t port, size_t *count)
{
	struct ranked *rules = memory_zeroed(set->rule_count, sizeof(*rules));

	*count = 0;
	for (uint32_t rule = 0; rule < set->rule_count; rule++) {
		uint32_t width = policy_width_at(&set->origins[set->rules[rule].policy].config.ports, port);

		if (width)
			rules[(*count)++] = (struct ranked){ rank_rule(set, rule, width), rule };
	}
	qsort(rules, *count, sizeof(*rules), ranked_compare);
	return rules;
}
