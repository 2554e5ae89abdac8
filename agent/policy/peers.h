/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The rules that ask for a peer, by address: fills spans[] and their part of chain[] (include/autocork/policy.h). */
#pragma once
#include "policy/rank.h"

/* Appends a rule or an end to set->chain. */
void chain_append(struct policy_set *set, uint32_t link);

/* Appends the spans of these rules, of which at least one is given and each asks for a peer. Sorts them anew. */
void peers_build(struct policy_set *set, struct ranked *rules, size_t count);
