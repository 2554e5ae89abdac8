/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * From the policies that name an interface to the tables of the steering program. Pure: touches no kernel object.
 * Rules are numbered 1 … rule_count here, groups 0 … group_count - 1; tables_apply() makes kernel numbers of these.
 */
#pragma once
#include <autocork/steer.h>
#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/fault.h"
#include "policy/set.h"

struct plan_rule {
	const char *policy; /* lives as long as the policy set */
	enum steer_mode mode;
	bool transit;
	bool all_queues;
	uint64_t queues[STEER_QUEUES_MAX / 64];
	unsigned int queue_limit; /* one more than the highest queue named; 0 with all_queues */
	const struct policy_config *config;
};

struct plan_peer {
	uint32_t group;
	uint32_t rule;
	uint8_t bits;
	uint8_t address[16];
};

struct steer_plan {
	struct plan_rule *rules; /* [0] is rule number 1 */
	size_t rule_count;
	struct steer_port *ports; /* STEER_PORTS of them */
	struct plan_peer *peers;
	size_t peer_count, peer_room;
	uint32_t group_count;
	uint32_t icmp[STEER_DIRECTION_MAX];
	bool out; /* some port has an `out` slot */
};

/*
 * Among the rules that name a packet the most specific one decides (rank_of() in policy/rank.h). set NULL: no rule.
 * A policy that names queues the program cannot tell apart, or a plan that does not fit, is EXIT_CONFIG.
 */
int plan_make(struct steer_plan *plan, const struct policy_set *set, const char *interface, struct fault *fault);
void plan_free(struct steer_plan *plan);
