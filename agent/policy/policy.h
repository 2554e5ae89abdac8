/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Policy files: from *.conf drop-ins to the tables of include/autocork/policy.h. */
#pragma once
#include <autocork/policy.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/fault.h"

/* A range of ports' entry in `ports`: index of the chain's first element. */
struct policy_set {
	struct ac_policy *policies;	/* [0] is the built-in default */
	size_t policy_count;
	struct ac_rule *rules;
	size_t rule_count;
	uint32_t *chain;
	size_t chain_count;
	uint32_t ports[AC_PORTS];
	/* user-space side, same index as policies[] */
	struct policy_origin {
		char *name;		/* [policy NAME] */
		char *file;
		int line;
	} *origins;
};

void policy_set_free(struct policy_set *set);
