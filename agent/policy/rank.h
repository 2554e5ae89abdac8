/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Which of two rules is more specific. The order of what is compared is documented in docs/policy.md. */
#pragma once
#include "policy/set.h"

#define POLICY_WILDCARDS "*?["

bool program_is_pattern(const char program[AC_COMM_LEN]);

/* A rule and how specific it is on a port: the higher the rank, the earlier. */
struct ranked {
	uint64_t rank;
	uint32_t rule;
};

/* What makes one policy more specific than another for a flow. */
struct rank_facts {
	uint8_t peer_bits;     /* of the prefix that holds the peer; 0 = no peers */
	uint64_t cgroup_depth; /* 0 = no cgroups */
	const char *program;   /* AC_COMM_LEN bytes; NULL = none */
	uint32_t width;	       /* of the range that holds the port; AC_PORTS = no ports */
	uint8_t side;	       /* enum ac_side */
	uint32_t policy;       /* its number, which decides a tie */
};

/* The one order of precedence, for the data path's tables, for `policy show --match` and for steering. */
uint64_t rank_of(const struct rank_facts *facts);

/* The rank of a rule on a port of a range `width` ports wide. Peers are what counts first. */
uint64_t rank_rule(const struct policy_set *set, uint32_t rule, uint32_t width);

/* For qsort(): the most specific first; no two are equal. */
int ranked_compare(const void *a, const void *b);

/* All rules that apply to the port, whatever the flow, the most specific first; the caller frees them. */
struct ranked *rank_rules_at(const struct policy_set *set, uint16_t port, size_t *count);

/* The width of the range that holds the port: AC_PORTS if there are no ranges, 0 if none holds it. */
uint32_t policy_width_at(const struct policy_ranges *ports, uint16_t port);

uint32_t policy_range_width(const struct policy_range *range);
