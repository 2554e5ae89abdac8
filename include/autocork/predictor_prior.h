/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What flows of a service leave to the next ones. */
#pragma once
#include <autocork/predictor_worth.h>

/* Nagle's credit and the rest: a new flow goes on where the last one was. */
static __always_inline void ac_prior_hand_on(struct ac_predictor *p, const struct ac_prior *prior, __u32 now_us)
{
	bool over = prior->rest_until_us - now_us > AC_REST_LONGEST_US;

	p->nagle = prior->nagle <= AC_CREDIT_MAX ? prior->nagle : AC_CREDIT_MAX;
	p->proofs = prior->proofs <= AC_PROOFS ? prior->proofs : AC_PROOFS;
	p->went = prior->nagle ? prior->went : 0;
	p->long_kept = !!(prior->flags & AC_PRIOR_LONG_KEPT);
	p->stall_seen = !!(prior->flags & AC_PRIOR_STALL_SEEN);
	if (over && ac_rest_is_forgotten(now_us - prior->rest_until_us, prior->rests))
		return;
	p->rests = prior->rests <= AC_REST_DOUBLES ? prior->rests : AC_REST_DOUBLES;
	p->resting = !!p->rests;
	p->rest_until_us = prior->rest_until_us;
}

/*
 * Starts a flow at now_us; `prior` may be NULL or all zero: then nothing is held until the flow has shown two equal
 * bursts.
 */
static __always_inline void ac_predictor_init(struct ac_predictor *p, const struct ac_prior *prior, __u32 now_us)
{
	__u32 trusted;

	__builtin_memset(p, 0, sizeof(*p));
	p->last_us = now_us;
	p->settling = AC_SETTLING;
	p->reads = AC_READS_UNSURE;
	if (!prior)
		return;
	ac_prior_hand_on(p, prior, now_us);
	if (prior->reads)
		p->reads = (prior->reads - 1) & AC_READS_MAX;
	p->debt = prior->debt < AC_ALLOWANCE * AC_MISS ? prior->debt : AC_ALLOWANCE * AC_MISS;
	trusted = prior->streak[2] | prior->streak[3]; /* four lessons in a row */
	p->streak[7] = trusted;
	p->streak[6] = trusted;
	if ((trusted | p->went) >> 31) /* if the last exact slot goes on, so do long bursts */
		p->long_len = prior->long_len;
	p->saved_avg = prior->saved_avg;
	if (p->debt > (AC_ALLOWANCE - 1) * AC_MISS)
		return;
	p->hold = trusted;
	p->long_hold = p->long_len;
}

/* The prior should hear of what happened: enough bursts, or a miss. */
static __always_inline bool ac_prior_due(const struct ac_predictor *p)
{
	return p->new_bursts >= AC_PRIOR_EVERY || p->new_debt > 0;
}

/* The longest rest of all flows goes for the next ones, until one that rested has long been on a wrapper again. */
static __always_inline void ac_prior_rest(struct ac_prior *prior, const struct ac_predictor *p)
{
	if (!p->resting)
		return;
	if (ac_predictor_rested(p)) {
		prior->rests = 0;
	} else if (!p->tried && p->rests >= prior->rests) {
		prior->rests = p->rests;
		prior->rest_until_us = p->rest_until_us;
	}
}

/* Teaches the prior what the flow did since the last lesson; call it when a flow closes and whenever ac_prior_due(). */
static __always_inline void ac_prior_learn(struct ac_prior *prior, struct ac_predictor *p)
{
	__u32 stopped = p->level[0] | p->level[1] | ac_costly(p), carry = ac_streak_any(p) & ~ac_streak_prior(p);
	__s32 debt = (__s32)prior->debt + p->new_debt;
	__u32 long_len;
	int b;

	carry &= ~(prior->streak[0] & prior->streak[1] & prior->streak[2] & prior->streak[3]);
	for (b = 0; b < AC_PRIOR_PLANES; b++) {
		__u32 plane = prior->streak[b];

		prior->streak[b] = (plane ^ carry) & ~stopped;
		carry &= plane;
	}
	prior->debt = debt < 0 ? 0 : debt > AC_PRIOR_DEBT_MAX ? AC_PRIOR_DEBT_MAX : debt;
	/* A connection of one long burst has no long_len of its own. */
	long_len = p->long_len ? p->long_len : p->long_seen ? p->long_min : 0;
	if (long_len) {
		if (long_len < prior->long_len || !prior->long_len)
			prior->long_len = long_len;
		else
			prior->long_len += (long_len - prior->long_len) >> 3;
	}
	prior->saved_avg += ((__s32)p->saved_avg - (__s32)prior->saved_avg) >> 2;
	prior->reads = p->reads == AC_READS_UNSURE ? prior->reads : p->reads + 1;
	prior->nagle = p->nagle;
	prior->proofs = p->proofs;
	prior->went = p->went;
	prior->flags = (p->long_kept ? AC_PRIOR_LONG_KEPT : 0) | (p->stall_seen ? AC_PRIOR_STALL_SEEN : 0);
	ac_prior_rest(prior, p);
	p->new_debt = 0;
	p->new_bursts = 0;
}
