/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* How much of the time telemetry may look at observed flows, so that it stays in its budget. Pure. */
#pragma once
#include <stdbool.h>

/* It looks always, or for one second in 16, 32, 64 or 128: a budget that is just met is no reason to cost all of it. */
#define BUDGET_SHIFT_MIN 4
#define BUDGET_SHIFT_MAX 7

/*
 * The next sampling shift (it looks for one second in 2^shift), given the share of one CPU that observing takes while
 * it looks. It looks more often only where three times the cost would still be in the budget, so that it does not
 * swing. budget 0 = no bound.
 */
unsigned budget_step(unsigned shift, double share, double budget);

/*
 * Who looks at what happens now may have everything counted, whatever the budget; but all of them together for
 * BUDGET_EXACT_S in BUDGET_EXACT_PER_S, and not in slices.
 */
#define BUDGET_EXACT_S 600.0
#define BUDGET_EXACT_PER_S 3600.0
#define BUDGET_EXACT_MIN_S 15.0

struct budget_exact {
	double until; /* everything is counted */
	double used;  /* of BUDGET_EXACT_S, up to then */
};

/* Asks for so many seconds from now on; `is_sure`: the bound is for others. Returns until when everything is
 * counted. */
double budget_exact(struct budget_exact *exact, double now, double seconds, bool is_sure);

/*
 * When the cost is measured, while it always looks. The kernel patches its text to measure and patches it back, some ms
 * of CPU each time: so it is measured anew where the traffic changes, and else more and more rarely, unless the budget
 * is near. Traffic is anything that grows with it, per second (softirqs_received()).
 */
#define BUDGET_PACE_MIN_S 5.0
#define BUDGET_PACE_MAX_S 120.0
#define BUDGET_NEAR 0.25 /* of the budget */

struct budget_pace {
	double due; /* when it is measured whatever the traffic */
	double period;
	double traffic; /* at the last time */
};

/* Is it to be measured now? */
bool budget_measures(const struct budget_pace *pace, double now, double traffic);
/* It was: with this traffic, and this share of one CPU. */
void budget_measured(struct budget_pace *pace, double now, double traffic, double share, double budget);
