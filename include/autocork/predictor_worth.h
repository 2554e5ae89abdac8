/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Is the flow worth a wrapper? */
#pragma once
#include <autocork/predictor_slots.h>

/* Worth being managed: its bursts save writes. */
static __always_inline bool ac_predictor_gains(const struct ac_predictor *p)
{
	return p->saved_avg >= AC_SAVED_GAINS;
}

/* It came off a wrapper lately. `rest_until_us` of a flow that was silent for long is no time to come. */
static __always_inline bool ac_predictor_rests(const struct ac_predictor *p)
{
	return p->resting && !p->tried && p->rest_until_us - p->last_us <= AC_REST_LONGEST_US;
}

/*
 * Should be put on the wrapper: it gains, or it is new and its first burst went on after a write. The second equal
 * burst then ends on the gate, and the third is held from its first write on; without this, the third passes while the
 * agent puts the flow on.
 */
static __always_inline bool ac_predictor_promises(const struct ac_predictor *p)
{
	if (ac_predictor_rests(p))
		return false;
	return ac_predictor_gains(p) || (p->settling && ac_streak_any(p) & ~p->level[0] & ~p->level[1]);
}

/* Should come off the wrapper: too little is saved to pay for it. */
static __always_inline bool ac_predictor_idle(const struct ac_predictor *p)
{
	return p->saved_avg < AC_SAVED_IDLE && !p->settling;
}

/* Its rest is too long to be waited for: whether it is worth a wrapper then, the agent's recheck tells. */
static __always_inline bool ac_predictor_rests_long(const struct ac_predictor *p)
{
	return p->rests > AC_REST_WATCHED && ac_predictor_rests(p);
}

/* It goes on a wrapper; from here on counts how long it stays. */
static __always_inline void ac_predictor_try(struct ac_predictor *p)
{
	if (!p->resting || p->tried)
		return;
	p->tried = 1;
	p->rest_until_us = p->last_us;
}

/* A rest that is so long over, when the next one would be doubled so often, says nothing any more. */
static __always_inline bool ac_rest_is_forgotten(__u32 since_us, __u8 rests)
{
	return since_us > (AC_REST_FORGOTTEN * AC_REST_US) << (rests & 15);
}

/* It never came off a wrapper, or has long been on it since: the next rest is a short one. */
static __always_inline bool ac_predictor_rested(const struct ac_predictor *p)
{
	return !p->resting || (p->tried && ac_rest_is_forgotten(p->last_us - p->rest_until_us, p->rests));
}

/* It comes off the wrapper, and stays off for a time that doubles. */
static __always_inline void ac_predictor_rest(struct ac_predictor *p)
{
	if (ac_predictor_rested(p))
		p->rests = 0;
	p->resting = 1;
	p->tried = 0;
	p->rest_until_us = p->last_us + (AC_REST_US << (p->rests & 15));
	p->rests += p->rests < AC_REST_DOUBLES;
}
