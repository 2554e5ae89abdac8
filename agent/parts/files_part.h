/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Policy files inside the agent, a row of daemon_parts[]: what they say is put in force when it changes. */
#pragma once
#include "daemon/daemon.h"

int files_part_start(struct daemon *daemon, void **data, struct fault *fault);
void files_part_stop(void *data);
