/* SPDX-License-Identifier: GPL-2.0 */
/* Which policy a flow falls under: the walk through the compiled tables (include/autocork/policy.h), once per new
 * flow. */
#pragma once
#include "maps.bpf.h"
#include "tcp.bpf.h"
#include <autocork/policy_match.h>

/* Both halves of each table, one after the other. */
#define POLICY_TABLE(name_, type_, max_)                    \
	struct {                                            \
		__uint(type, BPF_MAP_TYPE_ARRAY);           \
		__uint(map_flags, BPF_F_MMAPABLE);          \
		__uint(max_entries, 2 * (max_));            \
		__type(key, __u32);                         \
		__type(value, type_);                       \
	} name_ SEC(".maps")

POLICY_TABLE(ports, __u32, AC_PORTS);
POLICY_TABLE(chain, __u32, AC_CHAIN_MAX);
POLICY_TABLE(rules, struct ac_rule, AC_RULES_MAX);
POLICY_TABLE(policies, struct ac_policy, AC_POLICIES_MAX);

/* Levels of the cgroup tree that are told apart; deeper cgroups count as their ancestor. */
#define CGROUP_DEPTH 16

struct match {
	struct ac_facts facts;
	__u64 cgroups[CGROUP_DEPTH]; /* ids of the flow's cgroup and its ancestors, root first */
	__u32 half;
	__u32 next;	/* place in the chain */
	__u32 policy;	/* the answer */
};

static __always_inline __u64 cgroup_id(struct sock *sk)
{
	struct cgroup *cgroup = sk->sk_cgrp_data.cgroup;

	return cgroup ? cgroup->kn->id : 0;
}

/* The ids of the socket's cgroup and all above it. */
static __always_inline void match_cgroups(struct sock *sk, __u64 cgroups[CGROUP_DEPTH])
{
	struct cgroup *cgroup = sk->sk_cgrp_data.cgroup, *ancestor;
	int level = cgroup ? cgroup->level : -1, i;

#pragma unroll
	for (i = 0; i < CGROUP_DEPTH; i++) {
		cgroups[i] = 0;
		if (i > level)
			continue;
		bpf_core_read(&ancestor, sizeof(ancestor), &cgroup->ancestors[i]);
		cgroups[i] = BPF_CORE_READ(ancestor, kn, id);
	}
}

static __always_inline bool match_in_cgroup(const __u64 cgroups[CGROUP_DEPTH], __u64 id)
{
#pragma unroll
	for (int i = 0; i < CGROUP_DEPTH; i++)
		if (cgroups[i] == id)
			return true;
	return false;
}

/* A function that the verifier checks by itself, once. */
__attribute__((noinline)) bool rule_fits(const struct ac_rule *rule, const struct ac_facts *facts)
{
	return rule && facts && ac_rule_matches(rule, facts);
}

/* bpf_loop() hands its callback only what is on the stack. */
struct match_walk {
	struct match *m;
};

static long match_step(__u32 index, struct match_walk *walk)
{
	struct match *m = walk->m;
	__u32 key = m->half * AC_CHAIN_MAX + m->next++, *number;
	struct ac_rule *rule;

	number = bpf_map_lookup_elem(&chain, &key);
	if (!number || *number == AC_CHAIN_END)
		return 1;
	key = m->half * AC_RULES_MAX + *number;
	rule = bpf_map_lookup_elem(&rules, &key);
	if (!rule)
		return 1;
	if (!rule_fits(rule, &m->facts) || (rule->cgroup && !match_in_cgroup(m->cgroups, rule->cgroup)))
		return 0;
	m->policy = rule->policy;
	return 1;
}

/* Fills m->policy; m->facts and m->cgroups are given. */
static __always_inline void match_policy(struct match *m, const struct ac_control *c)
{
	struct match_walk walk = { .m = m };
	__u32 key, *first;

	m->half = c->policy_half & 1;
	m->policy = AC_POLICY_DEFAULT;
	key = m->half * AC_PORTS + m->facts.port;
	first = bpf_map_lookup_elem(&ports, &key);
	if (!first)
		return;
	m->next = *first;
	bpf_loop(AC_RULES_MAX, match_step, &walk, 0);
}

static __always_inline const struct ac_policy *match_values(const struct match *m)
{
	__u32 key = m->half * AC_POLICIES_MAX + m->policy;

	return bpf_map_lookup_elem(&policies, &key);
}
