/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What the agent's BPF programs and maps cost. The kernel measures run time only while asked to, and then each run
 * costs two clock reads more; so it is asked for SELFCOST_WINDOW_US out of every SELFCOST_PERIOD_US, and what is
 * counted comes from these windows only.
 */
#pragma once
#include <systemd/sd-event.h>

#include "telemetry/snapshot.h"

#define SELFCOST_PERIOD_US 20000000
#define SELFCOST_WINDOW_US 1000000

struct selfcost;

/* NULL without memory. Where the kernel does not allow measuring, there are programs without times. */
struct selfcost *selfcost_start(sd_event *loop);
void selfcost_stop(struct selfcost *cost);	/* NULL is allowed */
/* Fills programs, maps, measured_seconds. The arrays belong to selfcost and last until the next call. */
void selfcost_snapshot(struct selfcost *cost, struct telemetry_snapshot *snapshot);
/* Share of one CPU that all programs, and those that observe, took in the last window. */
double selfcost_share(const struct selfcost *cost);
double selfcost_observing(const struct selfcost *cost);
/* Windows measured so far. */
unsigned selfcost_windows(const struct selfcost *cost);
