/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The maps that the agent writes by memory mapping: the control record and the policy tables. */
#pragma once
#include <autocork/control.h>

#include "engine/objects.h"
#include "policy/policy.h"

enum table { TABLE_PORTS, TABLE_CHAIN, TABLE_RULES, TABLE_POLICIES, TABLE_MAX };

struct tables {
	struct ac_control *control;
	void *table[TABLE_MAX];
};

int engine_tables_map(struct tables *tables, const struct shared_maps *shared, struct fault *fault);
void engine_tables_unmap(struct tables *tables);
/* Fills the idle half and puts it in force. */
void engine_tables_apply(struct tables *tables, const struct policy_set *set);
