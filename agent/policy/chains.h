/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Orders the rules of a set by port: fills chain[] and ports[] of include/autocork/policy.h. */
#pragma once
#include "policy/policy.h"

struct chains_overflow {
	uint32_t port;		/* at which AC_CHAIN_MAX was exceeded */
	size_t rules;		/* that apply there */
};

/* False where the chains do not fit. All else of the set is filled; the rules of a policy follow each other. */
bool chains_build(struct policy_set *set, struct chains_overflow *overflow);

/*
 * How specific a rule is on a port of a range `width` ports wide: the higher, the earlier in the chain. The order of
 * what is compared is documented in docs/policy.md.
 */
uint64_t chains_rank(const struct policy_set *set, uint32_t rule, uint32_t width);
