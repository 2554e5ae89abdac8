/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Steering inside the agent: a row of daemon_parts[]. Attaches the interfaces that policies name and puts their rules
 * in force, at start and after each reload; an interface that does not exist yet, or vanished, is attached when it
 * appears; one that no policy names any more is detached when its connections have ended. One that refuses (a foreign
 * program, a queue that is not there) is logged, shown in the status and tried again. Stopping leaves everything
 * attached, so that steered connections outlive a restart.
 */
#pragma once
#include "daemon/daemon.h"

int steer_part_start(struct daemon *daemon, void **data, struct fault *fault);
void steer_part_stop(void *data);
void steer_part_reloaded(struct daemon *daemon, void *data);
void steer_part_status(struct daemon *daemon, void *data, json_t *status);
const char *steer_part_unmet(const struct daemon *daemon, const void *data);
