/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Which policy steers a TCP flow: of those that steer on an interface the most specific one, by the same precedence as
 * everywhere (policy/rank.h). That is a question of its own: a policy without `steer` takes a flow from a wider one,
 * but no packet from what steers.
 */
#pragma once
#include <autocork/policy_match.h>

#include "policy/set.h"

/* Its number, AC_POLICY_DEFAULT if none does. Without `peer_known` those that ask for peers do not. */
uint32_t policy_steered_by(const struct policy_set *set, const struct ac_facts *facts, bool peer_known,
			   const char *interface);
/* [{"interface": NAME, "policy": NAME, "origin": PLACE, "steer": …, "queues": …}], one for each interface where one
 * does. */
json_t *policy_steered_json(const struct policy_set *set, const struct ac_facts *facts, bool peer_known);
