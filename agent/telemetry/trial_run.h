/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * A policy on trial, run by the agent itself, so that it ends whatever becomes of who asked for it: a policy in
 * memory is put over those in force, and taken back when the time is over, when things get worse, when the client goes,
 * and when the agent stops.
 */
#pragma once
#include "daemon/daemon.h"

struct trial;

/* Returns NULL without memory. */
struct trial *trial_new(struct daemon *daemon);
void trial_free(struct trial *trial);
/* The "trial" operation. */
int trial_run(struct trial *trial, struct control_client *client, const json_t *request, struct fault *fault);
