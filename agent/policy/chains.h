/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Orders the rules of a set by port: fills chain[], spans[] and ports[] of include/autocork/policy.h. */
#pragma once
#include "policy/set.h"

struct chains_overflow {
	uint32_t port;	 /* at which AC_CHAIN_MAX, or AC_SPANS_MAX, was exceeded */
	bool spans;	 /* AC_SPANS_MAX it was */
	size_t rules;	 /* that apply there */
	uint32_t policy; /* which made most of them; of those with peers if it was AC_SPANS_MAX */
};

/* False where the chains do not fit. All else of the set is filled; the rules of a policy follow each other. */
bool chains_build(struct policy_set *set, struct chains_overflow *overflow);
