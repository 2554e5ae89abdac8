/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * When the agent looks at flows that are only observed: always, or above its budget for one second in so many. Hooks
 * on every write cost while they hang there, whatever they do, so in between there are none. The cost is measured while
 * it looks: for so long where that is not always, else now and then (budget_measures()).
 */
#pragma once
#include <systemd/sd-event.h>

#include "engine/engine.h"
#include "telemetry/event_hub.h"
#include "telemetry/selfcost.h"

struct sampling;

/* `budget`: share of one CPU, 0 = no bound; read again each time. NULL without memory or event sources. */
struct sampling *sampling_start(sd_event *loop, struct engine *engine, struct selfcost *cost, struct event_hub *events,
				double (*budget)(void *context), void *context);
void sampling_stop(struct sampling *sampling); /* NULL is allowed */
/* It looks for one second in so many. */
unsigned sampling_one_in(const struct sampling *sampling);
/* All is to be counted for so long (budget_exact()). */
void sampling_count_all(struct sampling *sampling, double seconds, bool is_sure);
/* What is observed, or the budget, may be another. */
void sampling_measure_soon(struct sampling *sampling);
