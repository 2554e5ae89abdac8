/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * A compiled policy set, as agent/policy/ makes it and the data path reads it: once per new flow, never per write.
 *
 *   ports[port]  -> the port's spans, and the chain of its rules for any peer
 *   spans[]      -> stretches of addresses, in order, each with the chain of the rules for peers that hold there
 *   chain[]      -> rule numbers, most specific first, ended by AC_CHAIN_END or by AC_CHAIN_ON | where it goes on
 *   links[]      -> the chains as the data path has them: a chain's rules by their control group and program
 *   names[]      -> the programs that rules name without wildcards: a hash table
 *   groups[]     -> the control groups that rules name, by id: a hash table
 *   rules[]      -> one conjunction of conditions each, naming its policy
 *   policies[]   -> what the [policy NAME] section says; number 0 is the built-in default (observe)
 *
 * The chain of a span has the rules of the longest prefix that covers it, and goes on with those of the next shorter
 * one: the prefix is what ranks first, so this is the order of the rules, and no rule is in the table twice. Which span
 * an address is in takes a binary search: a port may have thousands of peers. The rules for any peer come last.
 *
 * The first rule that matches (policy_match.h) decides; where none does, policy 0 does.
 *
 * The data path does not walk a chain: it may have thousands of rules. Control group and program rank before all else
 * within a chain, so the first rule that matches is that of the deepest control group of the flow's that has one;
 * there, that of its program's name, or else of the first pattern that fits, or else of any program. For each of these
 * combinations links[] has the few rules that differ in what ranks after them. Only patterns have to be tried one after
 * the other; the answer of a long list of them is kept by the program's name (bpf/match.bpf.h).
 *
 * Every table exists twice (halves 0 and 1 of the same map); a reload fills the idle half and flips
 * control.policy_half.
 */
#pragma once
#include <autocork/types.h>

#define AC_PORTS 65536
#define AC_POLICIES_MAX 16384
#define AC_RULES_MAX 32768
#define AC_CHAIN_MAX 262144
#define AC_CHAIN_END 0xffffffffu
#define AC_CHAIN_ON 0x80000000u		    /* what is left of such a link is a place in chain[] */
#define AC_LINKS_MAX (AC_CHAIN_MAX * 5 / 2) /* what agent/policy/links.c needs at most for that many */
#define AC_LINK_LIST 0x80000000u	    /* what is left of ac_link.at is where a list of rules starts */
#define AC_LINK_GROUPS 0x80000000u	    /* the chain has rules of control groups … */
#define AC_LINK_NAMES 0x40000000u	    /* … of programs' names … */
#define AC_LINK_PATTERNS 0x20000000u	    /* … of patterns */
#define AC_LINK_SLOTS 0x00ffffffu
#define AC_NAMES 65536	   /* at least twice as many as there are rules */
#define AC_NAME_ANY 0u	   /* places in names[] that no name has: rules for any program … */
#define AC_NAME_PATTERN 1u /* … and those with a pattern */
#define AC_NAME_FIRST 2u
#define AC_GROUPS 65536
#define AC_SPANS_BITS 17
#define AC_SPANS_MAX (1 << AC_SPANS_BITS)
#define AC_COMM_LEN 16 /* TASK_COMM_LEN */
#define AC_POLICY_DEFAULT 0
#define AC_CGROUP_UNRESOLVED (~0ull) /* ac_rule.cgroup of a path that does not exist (yet): matches no flow */

enum ac_mode { AC_MODE_OFF, AC_MODE_OBSERVE, AC_MODE_AUTOCORK, AC_MODE_MAX };
enum ac_side { AC_SIDE_ANY, AC_SIDE_SERVER, AC_SIDE_CLIENT, AC_SIDE_MAX };

struct ac_policy {
	__u8 mode;	       /* enum ac_mode */
	__u8 adopt;	       /* also flows that exist already */
	__u16 need_max;	       /* 1/(1-confidence), rounded, 2 … 255 */
	__u32 max_hold_us;     /* 100 … 100,000 */
	__u32 burst_gap_us;    /* 10 … 1,000,000 */
	__u32 rto_min_us;      /* 5,000 … 200,000; 0 = the flow's own */
	__u32 packet_worth_us; /* 5 … 10,000 */
};

/* All conditions must hold. A policy with lists expands into one rule per combination. */
struct ac_rule {
	__u32 policy;	/* index into policies[] */
	__u8 side;	/* enum ac_side */
	__u8 peer_bits; /* leading bits of peer that count; 0 = any peer */
	__u8 pad[2];
	__u64 cgroup;  /* id of the root of a cgroup v2 subtree; 0 = any */
	__u8 peer[16]; /* IPv6, or IPv4 in its v4-mapped form (10.0.0.0/8 is ::ffff:10.0.0.0 with 104 bits) */
	char program[AC_COMM_LEN]; /* shell pattern (* ? [set]) for the comm; empty = any */
};

struct ac_port {
	__u32 chain;	  /* where the chain of the rules for any peer starts */
	__u32 spans;	  /* where the spans start; the first is that of address :: */
	__u32 span_count; /* 0: no rule asks for the peer */
	__u32 links;	  /* the chain in links[] */
};

/* From this address to that of the next span. */
struct ac_span {
	__u64 high, low; /* the address's halves as numbers */
	__u32 chain;	 /* where the chain starts */
	__u32 links;	 /* the same in links[], AC_CHAIN_END if there is none */
};

/*
 * A chain's first link has in `key` the number of its slots and AC_LINK_… flags, in `at` the chain it goes on with. The
 * slots follow, a hash table by ac_link_key() in which free slots have AC_CHAIN_END. A list's first link has the number
 * of its rules in `key`.
 */
struct ac_link {
	__u32 key;
	__u32 at; /* a rule, or AC_LINK_LIST | where a list starts */
};

/* Its place is its number. */
struct ac_name {
	char name[AC_COMM_LEN]; /* as the kernel has it, filled up with NUL; all NUL: the place is free */
};

struct ac_group {
	__u64 id;     /* 0: the place is free */
	__u64 number; /* index into policy_set.cgroups, plus one */
};

/* What is known of a flow when its policy is looked up. */
struct ac_facts {
	__u16 port; /* the service's port: local on a server, remote on a client */
	__u8 side;  /* AC_SIDE_SERVER (accepted) or AC_SIDE_CLIENT (connected) */
	__u8 pad[5];
	__u8 peer[16];		/* remote address, v4-mapped for IPv4 */
	char comm[AC_COMM_LEN]; /* program that owns the socket, empty while unknown */
};

_Static_assert(sizeof(struct ac_policy) == 20, "layout shared with BPF");
_Static_assert(sizeof(struct ac_rule) == 48, "layout shared with BPF");
_Static_assert(sizeof(struct ac_span) == 24, "layout shared with BPF");
_Static_assert(AC_NAMES >= 2 * AC_RULES_MAX && AC_GROUPS >= 2 * AC_RULES_MAX, "a search always meets a free place");
