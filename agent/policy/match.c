/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What the data path does with the tables, in C: the reference for tests and for `policy show --match`. */
#include <autocork/policy_match.h>

#include "policy/set.h"

/* Where the chain of the rules for the flow's peer starts, AC_CHAIN_END if there is none. */
static uint32_t peer_chain(const struct policy_set *set, const struct ac_facts *facts)
{
	const struct ac_port *port = &set->ports[facts->port];
	struct ac_search search;

	if (!port->span_count)
		return AC_CHAIN_END;
	ac_search_begin(&search, port, facts->peer);
	while (ac_search_goes_on(&search))
		ac_search_narrow(&search, &set->spans[ac_search_next(&search)]);
	return set->spans[search.first].chain;
}

static int64_t walk(const struct policy_set *set, uint32_t start, const struct ac_facts *facts,
		    policy_in_cgroup *in_cgroup, void *context)
{
	if (start == AC_CHAIN_END)
		return -1;
	for (const uint32_t *link = &set->chain[start]; *link != AC_CHAIN_END; link++) {
		const struct ac_rule *rule;

		if (*link & AC_CHAIN_ON)
			link = &set->chain[*link & ~AC_CHAIN_ON];
		rule = &set->rules[*link];
		if (!ac_rule_matches(rule, facts))
			continue;
		if (!rule->cgroup ||
		    (rule->cgroup != AC_CGROUP_UNRESOLVED && in_cgroup && in_cgroup(rule->cgroup, context)))
			return *link;
	}
	return -1;
}

int64_t policy_match(const struct policy_set *set, const struct ac_facts *facts, policy_in_cgroup *in_cgroup,
		     void *context)
{
	int64_t rule = walk(set, peer_chain(set, facts), facts, in_cgroup, context);

	return rule >= 0 ? rule : walk(set, set->ports[facts->port].chain, facts, in_cgroup, context);
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
	for (size_t port = 0; port < AC_PORTS; port++) {
		uint32_t chain = set->ports[port].chain;

		if ((!port || chain != set->ports[port - 1].chain) && !catches_all(set, chain))
			return true;
	}
	return false;
}
