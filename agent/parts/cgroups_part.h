/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Policies inside the agent, a row of daemon_parts[]: in force anew when a cgroup that they name comes or goes. */
#pragma once
#include "daemon/daemon.h"

int policy_part_start(struct daemon *daemon, void **data, struct fault *fault);
void policy_part_stop(void *data);
const char *policy_part_unmet(const struct daemon *daemon, const void *data);
void policy_part_reloaded(struct daemon *daemon, void *data);
