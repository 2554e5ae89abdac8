/* SPDX-License-Identifier: GPL-2.0 */
/* Which policy a flow falls under: the walk through the compiled tables (include/autocork/policy.h), once per new
 * flow. */
#pragma once
#include "tcp.bpf.h"
#include <autocork/control.h>
#include <autocork/policy_match.h>

/* Both halves of each table, one after the other. */
#define POLICY_TABLE(name_, type_, max_) \
	struct { \
		__uint(type, BPF_MAP_TYPE_ARRAY); \
		__uint(map_flags, BPF_F_MMAPABLE); \
		__uint(max_entries, 2 * (max_)); \
		__type(key, __u32); \
		__type(value, type_); \
	} name_ SEC(".maps")

POLICY_TABLE(ports, struct ac_port, AC_PORTS);
POLICY_TABLE(spans, struct ac_span, AC_SPANS_MAX);
POLICY_TABLE(links, struct ac_link, AC_LINKS_MAX);
POLICY_TABLE(names, struct ac_name, AC_NAMES);
POLICY_TABLE(groups, struct ac_group, AC_GROUPS);
POLICY_TABLE(rules, struct ac_rule, AC_RULES_MAX);
POLICY_TABLE(policies, struct ac_policy, AC_POLICIES_MAX);

/* What a long list of patterns says of a program: so many are tried for each flow, longer lists once per program. */
#define PATTERNS_TRIED 4

struct pattern_key {
	__u32 generation; /* of the policies */
	__u32 list;	  /* where it starts in links[], in either half */
	__u32 side;
	char comm[AC_COMM_LEN];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct pattern_key);
	__type(value, __u32); /* a rule, AC_CHAIN_END: none fits */
} pattern_answers SEC(".maps");

/* Levels of the cgroup tree that are told apart; deeper cgroups count as their ancestor. */
#define CGROUP_DEPTH 16

/* What the next step of a match looks at. */
enum match_at {
	MATCH_NAME,  /* the program in names[] */
	MATCH_GROUP, /* one of its control groups in groups[] */
	MATCH_CHAIN, /* the first link of a chain */
	MATCH_TURN,  /* what to look for in it */
	MATCH_SLOT,  /* a slot of it */
	MATCH_LIST,  /* a list of rules */
	MATCH_RULE,  /* one rule, which is all that the slot has */
};

struct match {
	struct ac_facts facts;
	__u64 cgroups[CGROUP_DEPTH]; /* ids of the flow's cgroup and its ancestors, root first */
	struct ac_search search;
	__u32 numbers[CGROUP_DEPTH]; /* of those that rules name, the deepest first */
	__u32 number_count;
	__u32 name;		       /* the program's number, AC_NAME_ANY if no rule names it */
	__u32 at;		       /* enum match_at */
	__u32 place;		       /* of what is looked at in its table */
	__u32 level;		       /* of the control group that is looked for */
	__u32 first, slots, flags, on; /* of the chain: see struct ac_link */
	__u32 turn; /* names, patterns, all programs of the first control group; the same of the next … */
	__u32 key;  /* what is looked for */
	__u32 left; /* rules of the list */
	__u32 list; /* to be answered, AC_CHAIN_END: its answer is not kept */
	__u32 half;
	__u32 generation;
	__u32 rest;   /* chain to search after this one, AC_CHAIN_END: none */
	__u32 policy; /* the answer */
	bool by_peer; /* other peers may have another */
	__u32 borrowed;
};

/*
 * Scratch, since a struct match is too large for the stack. A flow that opens in a system call may be interrupted by
 * one that opens in a softirq on the same CPU, or preempted by a third: each takes a place of its own.
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

	/* The verifier of 6.12 and before takes the turns of a loop whose counter is on the stack for one and the
	 * same. */
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

/* A function that the verifier checks by itself, once. */
__attribute__((noinline)) bool pattern_fits(const struct ac_rule *rule, const struct ac_facts *facts)
{
	return rule && facts && ac_glob_match(rule->program, facts->comm);
}

/* Each rule with a pattern once; at most 129 chains, with 51 turns each, and a table never makes a search long. */
#define MATCH_STEPS (1 << 20)

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

/* The next level up from `level` on that the flow has a control group in; past the root the chains begin. */
static __always_inline void match_level(struct match *m, __u32 level)
{
	m->level = level;
	if (level < CGROUP_DEPTH) {
		m->at = MATCH_GROUP;
		m->place = ac_group_place(m->cgroups[level]);
		return;
	}
	m->at = MATCH_CHAIN;
}

static __always_inline void match_name(struct match *m)
{
	__u64 *comm = (__u64 *)m->facts.comm, *name;
	__u32 key = m->half * AC_NAMES + m->place;

	name = bpf_map_lookup_elem(&names, &key);
	if (name && name[0] && (name[0] != comm[0] || name[1] != comm[1])) {
		m->place = ac_name_next(m->place);
		return;
	}
	m->name = name && name[0] ? m->place : AC_NAME_ANY;
	match_level(m, m->level);
}

static __always_inline void match_group(struct match *m)
{
	__u32 key = m->half * AC_GROUPS + m->place, level = m->level & (CGROUP_DEPTH - 1);
	struct ac_group *group = bpf_map_lookup_elem(&groups, &key);

	if (group && group->id && group->id != m->cgroups[level]) {
		m->place = ac_group_next(m->place);
		return;
	}
	if (group && group->id)
		m->numbers[m->number_count++ & (CGROUP_DEPTH - 1)] = group->number;
	match_level(m, level - 1);
}

/* Where no chain is left, a match ends. */
static __always_inline long match_chain(struct match *m, __u32 place)
{
	struct ac_link *link;
	__u32 key;

	if (place == AC_CHAIN_END) {
		place = m->rest;
		m->rest = AC_CHAIN_END;
	}
	key = m->half * AC_LINKS_MAX + place;
	link = place == AC_CHAIN_END ? NULL : bpf_map_lookup_elem(&links, &key);
	if (!link)
		return 1;
	m->first = place + 1;
	m->slots = link->key & AC_LINK_SLOTS;
	m->flags = link->key & ~AC_LINK_SLOTS;
	m->on = link->at;
	m->turn = m->flags & AC_LINK_GROUPS ? 0 : 3 * m->number_count;
	m->at = MATCH_TURN;
	return 0;
}

static __always_inline long match_turn(struct match *m)
{
	__u32 turn = m->turn++, group = turn / 3, kind = turn % 3, name = AC_NAME_ANY;

	if (group > m->number_count || !m->slots)
		return match_chain(m, m->on);
	if (kind == 0) {
		name = m->name;
		if (name == AC_NAME_ANY || !(m->flags & AC_LINK_NAMES))
			return 0;
	} else if (kind == 1) {
		name = AC_NAME_PATTERN;
		if (!(m->flags & AC_LINK_PATTERNS))
			return 0;
	}
	m->key = ac_link_key(group < m->number_count ? m->numbers[group & (CGROUP_DEPTH - 1)] : 0, name);
	m->place = m->first + ac_link_slot(m->key, m->slots);
	m->at = MATCH_SLOT;
	return 0;
}

static __always_inline void pattern_key(struct pattern_key *key, const struct match *m)
{
	key->generation = m->generation;
	key->list = m->half * AC_LINKS_MAX + m->list;
	key->side = m->facts.side;
	__builtin_memcpy(key->comm, m->facts.comm, AC_COMM_LEN);
}

static __always_inline void match_slot(struct match *m)
{
	__u32 key = m->half * AC_LINKS_MAX + m->place;
	struct ac_link *link = bpf_map_lookup_elem(&links, &key);

	if (!link || link->at == AC_CHAIN_END) {
		m->at = MATCH_TURN;
	} else if (link->key != m->key) {
		m->place = m->place + 1 < m->first + m->slots ? m->place + 1 : m->first;
	} else if (link->at & AC_LINK_LIST) {
		m->place = link->at & ~AC_LINK_LIST;
		m->left = 0;
		m->at = MATCH_LIST;
	} else {
		m->place = link->at;
		m->at = MATCH_RULE;
	}
}

static __always_inline bool key_is_pattern(__u32 key)
{
	return (key & 0xffff) == AC_NAME_PATTERN;
}

/* The peer is that of the chain, control group and name that of the slot: what is left is the side, and the pattern. */
static __always_inline bool match_rule(struct match *m, __u32 number)
{
	__u32 key = m->half * AC_RULES_MAX + number;
	struct ac_rule *rule = bpf_map_lookup_elem(&rules, &key);

	if (!rule || (rule->side != AC_SIDE_ANY && rule->side != m->facts.side))
		return false;
	if (key_is_pattern(m->key) && !pattern_fits(rule, &m->facts))
		return false;
	m->policy = rule->policy;
	return true;
}

static __always_inline void keep_answer(const struct match *m, __u32 rule)
{
	struct pattern_key key;

	if (m->list == AC_CHAIN_END)
		return;
	pattern_key(&key, m);
	bpf_map_update_elem(&pattern_answers, &key, &rule, BPF_ANY);
}

/* Is the answer of the list that begins known? */
static __always_inline __u32 *kept_answer(struct match *m, const struct ac_link *link)
{
	struct pattern_key key;

	m->list = AC_CHAIN_END;
	if (!key_is_pattern(m->key) || link->key <= PATTERNS_TRIED)
		return NULL;
	m->list = m->place;
	pattern_key(&key, m);
	return bpf_map_lookup_elem(&pattern_answers, &key);
}

static __always_inline long match_list(struct match *m)
{
	__u32 key = m->half * AC_LINKS_MAX + m->place, *kept;
	struct ac_link *link = bpf_map_lookup_elem(&links, &key);

	if (!link)
		return 1;
	if (!m->left) {
		kept = kept_answer(m, link);
		if (kept) {
			m->at = MATCH_TURN;
			return *kept != AC_CHAIN_END && match_rule(m, *kept);
		}
		m->left = link->key;
	}
	if (match_rule(m, link->at)) {
		keep_answer(m, link->at);
		return 1;
	}
	m->place++;
	if (!--m->left) {
		keep_answer(m, AC_CHAIN_END);
		m->at = MATCH_TURN;
	}
	return 0;
}

static long match_step(__u32 index, struct match_walk *walk)
{
	struct match *m = walk->m;

	switch (m->at) {
	case MATCH_NAME:
		match_name(m);
		return 0;
	case MATCH_GROUP:
		match_group(m);
		return 0;
	case MATCH_CHAIN:
		return match_chain(m, m->on);
	case MATCH_TURN:
		return match_turn(m);
	case MATCH_SLOT:
		match_slot(m);
		return 0;
	case MATCH_RULE:
		m->at = MATCH_TURN;
		return match_rule(m, m->place);
	default:
		return match_list(m);
	}
}

static __always_inline __u32 deepest_level(const __u64 cgroups[CGROUP_DEPTH])
{
	__u32 deepest = 0;

#pragma unroll
	for (__u32 i = 1; i < CGROUP_DEPTH; i++)
		if (cgroups[i])
			deepest = i;
	return deepest;
}

/* Where the first step looks. */
static __always_inline void match_begin(struct match *m, const struct ac_control *c)
{
	__u64 *comm = (__u64 *)m->facts.comm;

	m->number_count = 0;
	m->name = AC_NAME_ANY;
	match_level(m, c->cgroup_rules ? deepest_level(m->cgroups) : CGROUP_DEPTH);
	if (c->program_rules && m->facts.comm[0]) {
		m->at = MATCH_NAME;
		m->place = ac_name_place(comm[0], comm[1]);
	}
}

/* Fills m->policy; m->facts and m->cgroups are given. */
static __always_inline void match_policy(struct match *m, const struct ac_control *c)
{
	struct match_walk walk = { .m = m };
	struct ac_port *port;
	struct ac_span *span;
	__u32 key;

	/* In this order: with a reload in between, the flow is matched once more. */
	m->generation = *(volatile __u32 *)&c->policy_generation;
	m->half = *(volatile __u32 *)&c->policy_half & 1;
	m->policy = AC_POLICY_DEFAULT;
	m->by_peer = false;
	key = m->half * AC_PORTS + m->facts.port;
	port = bpf_map_lookup_elem(&ports, &key);
	if (!port)
		return;
	m->on = port->links;
	m->rest = AC_CHAIN_END;
	if (port->span_count) {
		m->by_peer = true;
		ac_search_begin(&m->search, port, m->facts.peer);
		bpf_loop(AC_SPANS_BITS + 1, match_search, &walk, 0);
		key = m->half * AC_SPANS_MAX + m->search.first;
		span = bpf_map_lookup_elem(&spans, &key);
		if (span && span->links != AC_CHAIN_END) {
			m->rest = m->on;
			m->on = span->links;
		}
	}
	match_begin(m, c);
	bpf_loop(MATCH_STEPS, match_step, &walk, 0);
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
