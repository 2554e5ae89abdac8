/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "telemetry/budget.h"

#define ROOM 3.0
#define PACE_NOISE 100 /* a second: observing them costs 0.01% of a CPU */

/* The smallest that brings the share into the budget, or the largest there is. */
static unsigned shift_for(double share, double budget)
{
	unsigned shift = BUDGET_SHIFT_MIN;

	if (share <= budget)
		return 0;
	while (shift < BUDGET_SHIFT_MAX && share > budget * (1u << shift))
		shift++;
	return shift;
}

unsigned budget_step(unsigned shift, double share, double budget)
{
	unsigned up, down;

	if (budget <= 0)
		return 0;
	up = shift_for(share, budget);
	down = shift_for(share * ROOM, budget);
	return up > shift ? up : down < shift ? down : shift;
}

double budget_exact(struct budget_exact *exact, double now, double seconds, bool is_sure)
{
	double under_way = exact->until > now ? exact->until - now : 0, left;

	if (under_way)
		exact->used -= under_way;
	else
		exact->used -= (now - exact->until) * BUDGET_EXACT_S / BUDGET_EXACT_PER_S;
	if (exact->used < 0)
		exact->used = 0;
	left = exact->used < BUDGET_EXACT_S ? BUDGET_EXACT_S - exact->used : 0;
	/* Not in slices. */
	if (!under_way && left < BUDGET_EXACT_MIN_S)
		left = 0;
	if (seconds > left && !is_sure)
		seconds = left;
	if (seconds < under_way)
		seconds = under_way;
	exact->used += seconds;
	exact->until = now + seconds;
	return exact->until;
}

/* Twice as much, or half of it. What comes and goes on an idle machine is no change. */
static bool has_changed(double before, double now)
{
	return now > 2 * before + PACE_NOISE || before > 2 * now + PACE_NOISE;
}

bool budget_measures(const struct budget_pace *pace, double now, double traffic)
{
	return now >= pace->due || has_changed(pace->traffic, traffic);
}

void budget_measured(struct budget_pace *pace, double now, double traffic, double share, double budget)
{
	bool steady = !has_changed(pace->traffic, traffic) && (budget <= 0 || share < BUDGET_NEAR * budget);

	pace->period = steady && pace->period ? pace->period * 2 : BUDGET_PACE_MIN_S;
	if (pace->period > BUDGET_PACE_MAX_S)
		pace->period = BUDGET_PACE_MAX_S;
	pace->due = now + pace->period;
	pace->traffic = traffic;
}
