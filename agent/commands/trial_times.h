/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * How long the responses of a service take, before a trial and in it: a thread listens to the agent's events while the
 * trial runs. At most TRIAL_TIMES_MAX of each phase are looked at, so that a busy service costs little.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#define TRIAL_TIMES_MAX 5000
#define TRIAL_TIMES_MIN 20 /* fewer have no p99 worth showing */

enum trial_times_phase { TRIAL_TIMES_BEFORE, TRIAL_TIMES_TRIAL, TRIAL_TIMES_PHASES };

struct trial_times_result {
	size_t count;
	double p50_us, p99_us;
};

/* Which responses; the strings must live on. */
struct trial_times_of {
	const char *control;
	long port;
	const char *side, *program; /* NULL: any */
};

/* False where no thread can be had; then there are no times. */
bool trial_times_start(const struct trial_times_of *of);
/* What comes from now on belongs to this phase. */
void trial_times_enter(enum trial_times_phase phase);
/* False if too few were seen. To be called at the end: the phase takes no more. */
bool trial_times_read(enum trial_times_phase phase, struct trial_times_result *result);
