/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* How the predictor learns from a burst that has ended, and fixes the verdicts for the next one. */
#pragma once
#include <autocork/predictor_nagle.h>
#include <autocork/predictor_wait.h>

/* Long bursts: long_len shrinks at once and grows to the minimum of a window that doubles after each surprise. */
static __always_inline void ac_learn_long(struct ac_predictor *p, __u32 n)
{
	if (n < p->long_len) {
		p->long_len = n;
		if (p->long_level < AC_LONG_LEVEL_MAX)
			p->long_level++;
		p->long_seen = 0;
	}
	if (!p->long_seen || n < p->long_min)
		p->long_min = n;
	p->long_seen++;
	if (p->long_seen >= (AC_NEED_START << (p->long_level & 7))) {
		p->long_len = p->long_min;
		p->long_seen = 0;
	}
}

/* Starts over with what a burst is: reads end it, or (duplex) they do not. */
static __always_inline void ac_learn_anew(struct ac_predictor *p, __u32 duplex)
{
	ac_streak_clear(p, ~0u);
	p->level[0] = 0;
	p->level[1] = 0;
	p->long_len = 0;
	p->long_seen = 0;
	p->long_level = 0;
	p->interrupted = 0;
	p->steady = 0;
	p->duplex = duplex;
}

/*
 * A read came between two close writes, the first of which usually is not the last of its burst (`surprise`), or
 * usually is. Where it surprises often and nothing is gained, a reader thread may be at work: try for a while not to
 * heed reads.
 */
static __always_inline void ac_learn_quick_read(struct ac_predictor *p, bool surprise)
{
	__u32 trials = p->duplex >> 1;

	if (!surprise) {
		p->interrupted -= p->interrupted > 0;
		return;
	}
	p->interrupted += AC_INTERRUPTION;
	if (trials >= AC_DUPLEX_TRIALS || p->interrupted < AC_DUPLEX_AFTER << (trials & 7))
		return;
	p->interrupted = 0;
	if (p->saved_avg >= AC_SAVED_GAINS)
		return;
	ac_learn_anew(p, p->duplex | 1);
	if (p->debt > AC_TRIAL_DEBT) /* a trial that nothing may be held in would prove nothing */
		p->debt = AC_TRIAL_DEBT;
}

static __always_inline void ac_owe(struct ac_predictor *p, __u16 debt)
{
	p->debt += debt;
	p->new_debt = p->new_debt > AC_MISS ? p->new_debt : p->new_debt + debt;
}

/* A hold was wrong: the slot needs two levels more, a prior that was wrong has said its last word, and there is a
 * debt. */
static __always_inline void ac_learn_miss(struct ac_predictor *p, __u32 slot)
{
	ac_level_up(p, slot);
	ac_level_up(p, slot);
	p->steady = 0;
	if (p->patient) {
		ac_streak_clear(p, slot);
		ac_credit(p, -1);
		return;
	}
	ac_streak_clear(p, slot | ac_streak_prior(p));
	ac_owe(p, AC_MISS);
	if ((p->duplex & 1) && p->debt >= 2 * AC_MISS)
		ac_learn_anew(p, p->duplex + 1);
}

/* The same burst again as last time, on a flow that a burst like that changes nothing in. */
static __always_inline __u32 ac_steady_key(const struct ac_predictor *p, __u32 n)
{
	bool cut = p->cut && p->cut < n;

	return n < 16 && !cut ? n << 4 | p->first : 0;
}

/* What ac_learn() does for a burst that may change something. */
ac_verified_once int ac_learn_burst(struct ac_predictor *p, const struct ac_tuning *t, __u32 n, bool missed,
				    bool stopped)
{
	__u32 last, first, stop, full, went_on = 0, earn, carry, newly, at8, at32, ready, saved, shift = 4, key;
	bool cut, is_long, steady;
	__s32 change;
	int b;

	if (!p || !t)
		return 0;
	key = ac_steady_key(p, n);
	cut = p->cut && p->cut < n;
	last = ac_slot(p, n);
	first = ac_slot(p, 1);

	/* Of a burst that was cut only the writes before the cut teach anything; it stopped nowhere. */
	if (cut) {
		n = p->cut;
		stopped = false;
	}
	is_long = n > AC_EXACT;
	stop = stopped ? last : 0;
	full = ac_streak_full(p);
	if (is_long)
		went_on = ~0u << AC_FIRST_SLOTS | first;
	else if (n > 1)
		went_on = ((ac_slot(p, n) - 1) & (~0u << AC_FIRST_SLOTS)) | first;

	ac_learn_waits(p, went_on);
	carry = went_on & ~full & ~(p->late[0] | p->late[1]);
	/* A burst that changes nothing need not be learned from when it comes again. */
	steady = !carry && !(ac_streak_any(p) & last) && (p->level[0] & p->level[1] & last) && !p->debt &&
		 !p->settling && !p->late[0] && !p->late[1] && !ac_cost_any(p);
	for (b = 0; b < AC_STREAK_PLANES; b++) {
		__u32 plane = p->streak[b];

		p->streak[b] = (plane ^ carry) & ~stop;
		carry &= plane;
	}
	newly = ac_streak_full(p) & ~full;
	full = (full | newly) & ~stop;
	ac_level_up(p, stop);
	ac_level_down(p, newly);
	if (is_long && !cut) /* at a close too: so long is safe, as the last leaves with the FIN */
		ac_learn_long(p, n);
	if (missed)
		ac_learn_miss(p, last);
	if (p->expired) { /* it waited for max_hold: as good as a stop */
		ac_level_up(p, p->expired);
		ac_level_up(p, p->expired);
		ac_streak_clear(p, p->expired);
	}

	at32 = p->streak[5] | p->streak[6] | p->streak[7];
	at8 = p->streak[3] | p->streak[4] | at32;
	ready = (~p->level[1] & ~p->level[0] & (p->streak[1] | p->streak[2] | at8)) |
		(~p->level[1] & p->level[0] & at8) | (p->level[1] & ~p->level[0] & at32) |
		ac_streak_at_least(p, t->need_max);
	ac_learn_patience(p, went_on);

	/* Only a burst that the verdicts fit pays back: random bursts do not earn the next miss. */
	saved = ac_popcount(ready & went_on);
	if (saved && !missed) {
		earn = AC_EARN / (t->need_max | 1); /* never by zero */
		earn = earn < p->debt ? earn : p->debt;
		p->debt -= earn;
		p->new_debt -= p->new_debt > -2 * AC_MISS ? earn : 0;
	}
	ac_learn_long_waits(p, is_long ? n : 0);
	p->long_hold = p->long_cost < AC_COST_HIGH ? p->long_len : 0;
	p->late[0] = 0;
	p->late[1] = 0;
	p->expired = 0;
	if (p->debt) { /* the deeper in debt, the longer the streak that may risk another miss */
		ready &= p->debt <= AC_MISS ? at8 : p->debt <= 2 * AC_MISS ? at32 : p->debt <= 3 * AC_MISS ? full : 0;
		if (p->debt > (AC_ALLOWANCE - 1) * AC_MISS)
			p->long_hold = 0;
	}
	if (p->patient) { /* one burst that went on is enough, and misses have been paid for */
		ready |= ac_patient_slots(p);
		p->long_hold = ac_patient_long(p);
	}
	ready &= ~ac_costly(p);
	p->hold = ready;

	/* What the new verdicts would have saved in this very burst: known one burst earlier than what they do save. */
	saved = ac_popcount(ready & went_on);
	if (is_long && p->long_hold > AC_EXACT)
		saved += (n < p->long_hold ? n : p->long_hold) - 1 - AC_EXACT;
	saved = saved > 255 ? 0xff00 : saved << 8;
	if (p->settling) {
		p->settling--;
		shift = 1;
	} else if (saved < p->saved_avg) /* a slot that learns anew is no reason to leave the wrapper */
		shift = AC_FALL_SHIFT;
	change = ((__s32)saved - (__s32)p->saved_avg) >> shift;
	p->saved_avg += change;
	p->steady = steady && !change && !missed && stopped ? key : 0;
	return 0;
}

/* Learns from a burst of n writes and fixes the verdicts for the next one. */
static __always_inline void ac_learn(struct ac_predictor *p, const struct ac_tuning *t, __u32 n, bool missed,
				     bool stopped)
{
	__u32 key = ac_steady_key(p, n);

	p->new_bursts += p->new_bursts < 0xff;
	if (!key || key != p->steady || !stopped || missed)
		ac_learn_burst(p, t, n, missed, stopped);
}
