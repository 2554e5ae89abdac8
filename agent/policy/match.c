/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What the data path does with the tables, in C: the reference for tests and for `policy show --match`. */
#include <autocork/policy_match.h>

#include "policy/policy.h"

int64_t policy_match(const struct policy_set *set, const struct ac_facts *facts, policy_in_cgroup *in_cgroup,
		     void *context)
{
	for (const uint32_t *link = &set->chain[set->ports[facts->port]]; *link != AC_CHAIN_END; link++) {
		const struct ac_rule *rule = &set->rules[*link];

		if (!ac_rule_matches(rule, facts))
			continue;
		if (!rule->cgroup ||
		    (rule->cgroup != AC_CGROUP_UNRESOLVED && in_cgroup && in_cgroup(rule->cgroup, context)))
			return *link;
	}
	return -1;
}

static bool is_unconditional(const struct ac_rule *rule)
{
	return rule->side == AC_SIDE_ANY && !rule->peer_bits && !rule->cgroup && !rule->program[0];
}

static bool catches_all(const struct policy_set *set, uint32_t first)
{
	for (const uint32_t *link = &set->chain[first]; *link != AC_CHAIN_END; link++)
		if (is_unconditional(&set->rules[*link]))
			return true;
	return false;
}

bool policy_default_reachable(const struct policy_set *set)
{
	/* Neighbouring ports share their chain, so a set of few policies has few to look through. */
	for (size_t port = 0; port < AC_PORTS; port++)
		if ((!port || set->ports[port] != set->ports[port - 1]) && !catches_all(set, set->ports[port]))
			return true;
	return false;
}
