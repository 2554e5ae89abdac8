/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The chains as the data path searches them: fills links[] and names[] of include/autocork/policy.h. */
#pragma once
#include "policy/set.h"

/* The chains of the set are complete; ports and spans are told where their links are. */
void links_build(struct policy_set *set);

/* Fills the hash table of AC_GROUPS places with the ids that the set's control groups have now. */
void links_groups(const struct policy_set *set, struct ac_group *groups);
