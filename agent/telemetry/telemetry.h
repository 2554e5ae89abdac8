/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Telemetry inside the agent: metrics, web page and events, as a part of agent/parts/parts.c. */
#pragma once
#include "daemon/daemon.h"

int telemetry_start(struct daemon *daemon, void **data, struct fault *fault);
void telemetry_stop(void *data);
void telemetry_reloaded(struct daemon *daemon, void *data);
/* Adds "metrics_url" (null where nothing is served), "metrics_error" (why not; null unless it is wanted) and
 * "telemetry". */
void telemetry_status(struct daemon *daemon, void *data, json_t *status);
/* All that observed flows do is counted for so long, whatever the budget: somebody looks at what happens meanwhile. Up
 * to a bound (budget_exact()), which `is_sure` does not know. */
#define TELEMETRY_EXACT_MAX_S 3700.0
void telemetry_count_all(struct daemon *daemon, double seconds, bool is_sure);
/* An event of another part, for who listens. Takes the detail. */
void telemetry_note(struct daemon *daemon, uint32_t type, json_t *detail);
/* The operations "trial", "events" and "responses". */
int telemetry_op_trial(struct daemon *daemon, struct control_client *client, const json_t *request,
		       struct fault *fault);
int telemetry_op_events(struct daemon *daemon, struct control_client *client, const json_t *request,
			struct fault *fault);
int telemetry_op_responses(struct daemon *daemon, struct control_client *client, const json_t *request,
			   struct fault *fault);
