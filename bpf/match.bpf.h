/* SPDX-License-Identifier: GPL-2.0 */
/* Which policy a flow falls under: the walk through the compiled tables (include/autocork/policy.h), once per new
 * flow. */
#pragma once
#include "tcp.bpf.h"
#include <autocork/control.h>
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

POLICY_TABLE(ports, struct ac_port, AC_PORTS);
POLICY_TABLE(spans, struct ac_span, AC_SPANS_MAX);
POLICY_TABLE(chain, __u32, AC_CHAIN_MAX);
POLICY_TABLE(rules, struct ac_rule, AC_RULES_MAX);
POLICY_TABLE(policies, struct ac_policy, AC_POLICIES_MAX);

/* Levels of the cgroup tree that are told apart; deeper cgroups count as their ancestor. */
#define CGROUP_DEPTH 16

struct match {
	struct ac_facts facts;
	__u64 cgroups[CGROUP_DEPTH]; /* ids of the flow's cgroup and its ancestors, root first */
	struct ac_search search;
	__u32 half;
	__u32 next;	/* place in the chain */
	__u32 rest;	/* chain to walk after this one, AC_CHAIN_END: none */
	__u32 policy;	/* the answer */
	__u32 borrowed;
};

/*
 * Scratch, since a struct match is too large for the stack. A flow that opens in a system call may be interrupted by one that opens in a
 * softirq on the same CPU, or preempted by a third: each takes a place of its own.
 */
#define MATCH_PLACES 4

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MATCH_PLACES);
	__type(key, __u32);
	__type(value, struct match);
} match_scratch SEC(".maps");

/* To be returned. NULL if all are in use: that flow is left alone, until the agent's recheck. */
static __always_inline struct match *match_borrow(void)
{
	struct match *m;
	__u32 place;

	/* The verifier of 6.12 and before takes the turns of a loop whose counter is on the stack for one and the same. */
#pragma unroll
	for (int i = 0; i < MATCH_PLACES; i++) {
		place = i;
		m = bpf_map_lookup_elem(&match_scratch, &place);
		if (m && !__sync_lock_test_and_set(&m->borrowed, 1))
			return m;
	}
	return NULL;
}

static __always_inline void match_return(struct match *m)
{
	/* clang 14 has no __sync_lock_release() for BPF. */
	barrier();
	*(volatile __u32 *)&m->borrowed = 0;
}

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

static long match_search(__u32 index, struct match_walk *walk)
{
	struct match *m = walk->m;
	struct ac_span *span;
	__u32 key;

	if (!ac_search_goes_on(&m->search))
		return 1;
	key = m->half * AC_SPANS_MAX + ac_search_next(&m->search);
	span = bpf_map_lookup_elem(&spans, &key);
	if (!span)
		return 1;
	ac_search_narrow(&m->search, span);
	return 0;
}

static long match_step(__u32 index, struct match_walk *walk)
{
	struct match *m = walk->m;
	__u32 key = m->half * AC_CHAIN_MAX + m->next++, *number;
	struct ac_rule *rule;

	number = bpf_map_lookup_elem(&chain, &key);
	if (!number)
		return 1;
	if (*number == AC_CHAIN_END) {
		m->next = m->rest;
		m->rest = AC_CHAIN_END;
		return m->next == AC_CHAIN_END;
	}
	if (*number & AC_CHAIN_ON) {
		m->next = *number & ~AC_CHAIN_ON;
		return 0;
	}
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
	struct ac_port *port;
	struct ac_span *span;
	__u32 key;

	m->half = c->policy_half & 1;
	m->policy = AC_POLICY_DEFAULT;
	key = m->half * AC_PORTS + m->facts.port;
	port = bpf_map_lookup_elem(&ports, &key);
	if (!port)
		return;
	m->next = port->chain;
	m->rest = AC_CHAIN_END;
	if (port->span_count) {
		ac_search_begin(&m->search, port, m->facts.peer);
		bpf_loop(AC_SPANS_BITS + 1, match_search, &walk, 0);
		key = m->half * AC_SPANS_MAX + m->search.first;
		span = bpf_map_lookup_elem(&spans, &key);
		if (span && span->chain != AC_CHAIN_END) {
			m->rest = m->next;
			m->next = span->chain;
		}
	}
	/* Links of one walk: each rule once, at most 128 prefixes, two ends. */
	bpf_loop(AC_RULES_MAX + 130, match_step, &walk, 0);
}

static __always_inline const struct ac_policy *policy_values(__u32 half, __u32 policy)
{
	__u32 key = half * AC_POLICIES_MAX + policy;

	return bpf_map_lookup_elem(&policies, &key);
}

static __always_inline const struct ac_policy *match_values(const struct match *m)
{
	return policy_values(m->half, m->policy);
}
