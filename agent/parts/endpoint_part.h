/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Programs with their own TCP inside the agent: a row of daemon_parts[], and the operation "endpoint". Gives them the
 * queues that the policies with `steer = endpoint` name. When the agent stops, the programs keep what they have.
 */
#pragma once
#include "daemon/daemon.h"
#include "endpoint-broker/broker.h"

int endpoint_part_start(struct daemon *daemon, void **data, struct fault *fault);
void endpoint_part_stop(void *data);
void endpoint_part_reloaded(struct daemon *daemon, void *data);
void endpoint_part_status(struct daemon *daemon, void *data, json_t *status);

/* false: no policy asks for it. */
bool endpoint_part_sum(struct daemon *daemon, struct broker_sum *sum);
/* Adds a row to the features of `doctor`, if a policy asks for it. */
void endpoint_part_doctor(struct daemon *daemon, json_t *features);

control_run endpoint_op;
