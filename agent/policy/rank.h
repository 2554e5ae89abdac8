/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Which of two rules is more specific. The order of what is compared is documented in docs/policy.md. */
#pragma once
#include "policy/set.h"

/* A rule and how specific it is on a port: the higher the rank, the earlier. */
struct ranked {
	uint64_t rank;
	uint32_t rule;
};

/* The rank of a rule on a port of a range `width` ports wide. Peers are what counts first. */
uint64_t rank_rule(const struct policy_set *set, uint32_t rule, uint32_t width);

/* For qsort(): the most specific first; no two are equal. */
int ranked_compare(const void *a, const void *b);

/* All rules that apply to the port, whatever the flow, the most specific first; the caller frees them. */
struct ranked *rank_rules_at(const struct policy_set *set, uint16_t port, size_t *count);

uint32_t policy_range_width(const struct policy_range *range);
