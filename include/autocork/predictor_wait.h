/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What waiting costs: which waits are worth the packet that they save, and how long a hold may last at all. */
#pragma once
#include <autocork/predictor_slots.h>

/* Nothing tells that the peer waits for more than the write that is held. */
static __always_inline bool ac_is_feed(const struct ac_predictor *p)
{
	return !p->patient && p->reads < AC_READS_END;
}

/* Where the other way is a stall, every wait is worth it that a hold may last. */
static __always_inline __u32 ac_patience(const struct ac_tuning *t)
{
	return t->hold_gaps ? t->hold_gaps * t->burst_gap_us : AC_BOUND_MAX * t->wait_us;
}

/* How long the first byte may wait in all, when the burst has n writes. */
static __always_inline __u32 ac_wait_bound(const struct ac_predictor *p, const struct ac_tuning *t, __u32 n)
{
	__u32 quarters = 4 * AC_BOUND + n;

	if (p->patient)
		return ac_patience(t);
	if (ac_is_feed(p))
		quarters = 4 * AC_BOUND;
	else if (quarters > 4 * AC_BOUND_MAX)
		quarters = 4 * AC_BOUND_MAX;
	return quarters * t->wait_us / 4;
}

/* How long a hold that begins now may last, where the policy allows max_hold_us. */
static __always_inline __u32 ac_hold_limit(const struct ac_predictor *p, const struct ac_tuning *t, __u32 max_hold_us)
{
	__u32 limit = AC_FEED_HOLD * t->wait_us;

	return ac_is_feed(p) && limit < max_hold_us ? limit : max_hold_us;
}

/* Is a gap within the burst more than a packet is worth? */
static __always_inline bool ac_is_late(const struct ac_predictor *p, const struct ac_tuning *t, __u32 gap)
{
	return gap > (p->patient ? ac_patience(t) : t->wait_us);
}

/* The write after the n-th of the burst came late: notes how late, for when the burst has ended. */
static __always_inline void ac_note_late(struct ac_predictor *p, const struct ac_tuning *t, __u32 n, __u32 gap)
{
	/* Patient: a stall each time would be dearer, so how late does not matter, and one in three may be. */
	bool mid = !p->patient && gap > AC_WAIT_MID * t->wait_us, most = mid && gap > AC_WAIT_LONG * t->wait_us;
	__u32 slot = ac_slot(p, n), cost;

	p->steady = 0;
	if (!slot) { /* one cost for all of them, which acts at once */
		cost = p->long_cost + (most ? AC_COST_LONG : mid ? AC_COST_MID : AC_COST_LATE) + 1;
		p->long_cost = cost < 255 ? cost : 255;
		if (cost >= AC_COST_HIGH)
			p->long_hold = 0;
		return;
	}
	p->late[0] |= !mid || most ? slot : 0;
	p->late[1] |= mid ? slot : 0;
	if (t->hold_gaps && gap >= t->hold_gaps * t->burst_gap_us)
		p->expired |= slot;
}

/* What the waits of a burst that is over say; `went_on` are the slots that had one. */
static __always_inline void ac_learn_waits(struct ac_predictor *p, __u32 went_on)
{
	__u32 late = p->late[0] | p->late[1], mid = p->late[1] & ~p->late[0], most = p->late[0] & p->late[1];

	ac_cost_earn(p, went_on & ~late);
	if (!late)
		return;
	ac_cost_add(p, late & ~most, 1); /* AC_COST_LATE, and … */
	ac_cost_add(p, mid, 2);		 /* … with 4 more AC_COST_MID */
	ac_cost_add(p, most, 5);	 /* AC_COST_LONG */
}

/* The same for the writes beyond AC_EXACT of a burst of n. */
static __always_inline void ac_learn_long_waits(struct ac_predictor *p, __u32 n)
{
	__u32 beyond = n > AC_EXACT ? n - AC_EXACT : 0;

	if (p->long_cost >= AC_COST_HIGH) /* a feed: it takes some 30 bursts to be trusted again */
		p->long_cost -= 8;
	else
		p->long_cost -= p->long_cost < beyond ? p->long_cost : beyond;
}
