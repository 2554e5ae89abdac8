/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The maps that the agent has in its memory: the control record, the policy tables, the sums of live flows. */
#pragma once
#include <autocork/control.h>
#include <autocork/record.h>

#include "engine/objects.h"
#include "policy/set.h"

enum table { TABLE_PORTS, TABLE_SPANS, TABLE_LINKS, TABLE_NAMES, TABLE_GROUPS, TABLE_RULES, TABLE_POLICIES, TABLE_MAX };

struct tables {
	struct ac_control *control;
	void *table[TABLE_MAX];
	struct ac_live *live;		/* by service number */
	struct ac_service_stats *stats; /* by ac_stats_at() */
	unsigned int stats_slots;
	struct ac_flow_record *dumped; /* AC_WALK_STEP of them */
};

/* How many slots of counters a service has on this machine. */
unsigned int engine_stats_slots(void);
int engine_tables_map(struct tables *tables, const struct shared_maps *shared, struct fault *fault);
void engine_tables_unmap(struct tables *tables);
void engine_stats_add(struct ac_service_stats *sum, const struct ac_service_stats *more);
/* Adds what all slots have of a service. */
void engine_tables_sum(const struct tables *tables, uint32_t service, struct ac_service_stats *sum);
/* Fills the idle half and puts it in force. */
void engine_tables_apply(struct tables *tables, const struct policy_set *set);
