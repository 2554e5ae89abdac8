/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "policy/rank.h"

#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"

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

uint64_t rank_rule(const struct policy_set *set, uint32_t rule, uint32_t width)
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

uint32_t policy_range_width(const struct policy_range *range)
{
	return (uint32_t)range->last - range->first + 1;
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
		const struct policy_ranges *ports = &set->origins[set->rules[rule].policy].config.ports;
		uint32_t width = ports->count ? 0 : AC_PORTS;

		for (size_t i = 0; i < ports->count; i++)
			if (port >= ports->list[i].first && port <= ports->list[i].last)
				width = policy_range_width(&ports->list[i]);
		if (width)
			rules[(*count)++] = (struct ranked){ rank_rule(set, rule, width), rule };
	}
	qsort(rules, *count, sizeof(*rules), ranked_compare);
	return rules;
}
