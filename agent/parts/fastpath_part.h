/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The fast path inside the agent: a row of daemon_parts[]. Runs autocork-fastpath while policies ask for it, starts it
 * again when it dies (after 1 s, then twice as long each time up to 30 s), and with other arguments when the policies
 * change. After the agent itself was killed its successor takes the running process over. A clean stop of the agent
 * stops it.
 */
#pragma once
#include "daemon/daemon.h"

int fastpath_part_start(struct daemon *daemon, void **data, struct fault *fault);
void fastpath_part_stop(void *data);
void fastpath_part_reloaded(struct daemon *daemon, void *data);
void fastpath_part_status(struct daemon *daemon, void *data, json_t *status);
const char *fastpath_part_unmet(const struct daemon *daemon, const void *data);
