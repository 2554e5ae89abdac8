/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* From the policies to the command line of the autocork-fastpath that the agent runs. Pure. */
#pragma once
#include "lib/fault.h"
#include "policy/set.h"

#define FASTPATH_AGENT_NAME "agent" /* the instance that the agent runs */

/*
 * One process takes the interfaces of all policies with `steer = dpdk` and those of [fastpath]. *argv: NULL if there
 * are none, else the command, ended by NULL, to be freed with fastpath_plan_free(). -1 (EXIT_CONFIG) if there can be no
 * such process.
 */
int fastpath_plan(const struct policy_set *set, const char *program, const char *run_dir, char ***argv,
		  struct fault *fault);
void fastpath_plan_free(char **argv);
/* NULL stands for no command. */
bool fastpath_plan_equal(char *const *a, char *const *b);
