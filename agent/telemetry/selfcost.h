/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What the agent's BPF programs and maps cost. The kernel measures run time only while asked to, and then each run
 * costs two clock reads more; so it is asked in windows (agent/telemetry/sampling.c), and what is counted comes from
 * these only.
 */
#pragma once
#include "telemetry/snapshot.h"

struct selfcost;

/* NULL without memory. Where the kernel does not allow measuring, there are programs without times. */
struct selfcost *selfcost_new(void);
void selfcost_free(struct selfcost *cost); /* NULL is allowed */
/* A window. The observer was there in all of it, and is for one second in so many. */
void selfcost_begin(struct selfcost *cost);
void selfcost_end(struct selfcost *cost, unsigned one_in);
/* Fills programs, maps, measured_seconds. The arrays belong to selfcost and last until the next call. */
void selfcost_snapshot(struct selfcost *cost, struct telemetry_snapshot *snapshot);
/* Share of one CPU that all programs take, by the last window; and those that observe, while they are there. */
double selfcost_share(const struct selfcost *cost);
double selfcost_observing(const struct selfcost *cost);
