/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The predictor's slots: 32 saturating counters and 32 levels, bit-sliced. Bit i of plane b is bit b of slot i's
 * counter, so one burst updates all slots with the same few logical operations, without a loop over positions.
 */
#pragma once
#include <autocork/predictor_state.h>

static __always_inline __u32 ac_popcount(__u32 v)
{
	v -= (v >> 1) & 0x55555555;
	v = (v & 0x33333333) + ((v >> 2) & 0x33333333);
	v = (v + (v >> 4)) & 0x0f0f0f0f;
	return (v * 0x01010101) >> 24;
}

/* Slots whose streak is at least n. */
static __always_inline __u32 ac_streak_at_least(const struct ac_predictor *p, __u32 n)
{
	__u32 at_least = ~0u;
	int b;

	for (b = 0; b < AC_STREAK_PLANES; b++) {
		__u32 ones = -((n >> b) & 1);

		at_least = (p->streak[b] & (at_least | ~ones)) | (at_least & ~ones);
	}
	return at_least;
}

/* Slots whose streak is saturated: the last of the allowance is theirs. */
static __always_inline __u32 ac_streak_full(const struct ac_predictor *p)
{
	__u32 full = ~0u;
	int b;

	for (b = 0; b < AC_STREAK_PLANES; b++)
		full &= p->streak[b];
	return full;
}

/* Slots that went on at least once since one last stopped there. */
static __always_inline __u32 ac_streak_any(const struct ac_predictor *p)
{
	__u32 any = 0;
	int b;

	for (b = 0; b < AC_STREAK_PLANES; b++)
		any |= p->streak[b];
	return any;
}

/* Slots that were held on the prior's word alone: theirs is exactly AC_PRIOR_STREAK. */
static __always_inline __u32 ac_streak_prior(const struct ac_predictor *p)
{
	return p->streak[7] & p->streak[6] &
	       ~(p->streak[5] | p->streak[4] | p->streak[3] | p->streak[2] | p->streak[1] | p->streak[0]);
}

static __always_inline void ac_streak_clear(struct ac_predictor *p, __u32 slots)
{
	int b;

	for (b = 0; b < AC_STREAK_PLANES; b++)
		p->streak[b] &= ~slots;
}

/* The slot of the n-th write, n from 1; none where n is beyond AC_EXACT. */
static __always_inline __u32 ac_slot(const struct ac_predictor *p, __u32 n)
{
	if (n > AC_EXACT)
		return 0;
	return 1u << (n > 1 ? n + AC_FIRST_SLOTS - 2 : p->first & (AC_FIRST_SLOTS - 1));
}

/* Raises the level of slots in which a burst stopped. */
static __always_inline void ac_level_up(struct ac_predictor *p, __u32 slots)
{
	slots &= ~(p->level[0] & p->level[1]);
	p->level[1] ^= p->level[0] & slots;
	p->level[0] ^= slots;
}

static __always_inline void ac_level_down(struct ac_predictor *p, __u32 slots)
{
	slots &= p->level[0] | p->level[1];
	p->level[1] ^= slots & ~p->level[0];
	p->level[0] ^= slots;
}

/* Slots whose waits cost too much: AC_COST_HIGH, 40, and more. */
static __always_inline __u32 ac_costly(const struct ac_predictor *p)
{
	return p->cost[5] & (p->cost[4] | p->cost[3]);
}

static __always_inline __u32 ac_cost_any(const struct ac_predictor *p)
{
	return p->cost[0] | p->cost[1] | p->cost[2] | p->cost[3] | p->cost[4] | p->cost[5];
}

/* Adds 1 << bit to the cost of `slots`, up to 63. */
static __always_inline void ac_cost_add(struct ac_predictor *p, __u32 slots, int bit)
{
	int b;

	for (b = bit; b < AC_COST_PLANES; b++) {
		__u32 plane = p->cost[b];

		p->cost[b] = plane ^ slots;
		slots &= plane;
	}
	for (b = 0; b < AC_COST_PLANES; b++)
		p->cost[b] |= slots;
}

/* Takes 1 off the cost of `slots`, down to 0. */
static __always_inline void ac_cost_earn(struct ac_predictor *p, __u32 slots)
{
	int b;

	slots &= ac_cost_any(p);
	if (!slots)
		return;
	for (b = 0; b < AC_COST_PLANES; b++) {
		__u32 plane = p->cost[b];

		p->cost[b] = plane ^ slots;
		slots &= ~plane;
	}
}
