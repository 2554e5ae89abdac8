/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The predictor: which write of a burst is its last?
 *
 * Pure: no clock, no map, no kernel call. BPF compiles it into the gate and the observer, `autocork replay` and the
 * unit tests compile it natively, a fuzzer feeds it nonsense. Times are microseconds modulo 2^32 (the kernel's
 * tcp_mstamp).
 *
 * A write is held only where the flow's recent bursts went on after such a write, without a break, at least `need`
 * times. All that is decided when a burst ends: the verdicts for the next burst are one word, `hold`, so that a write
 * in the middle of a burst costs a subtraction, a shift and a few stores. docs/predictor.md has the reasoning.
 *
 * "Such a write" is a slot: the first write of a burst by its size (a header that is the whole answer has another size
 * than one that a body follows), the others by their position.
 */
#pragma once
#include <autocork/histogram.h>
#include <autocork/predictor_learn.h>
#include <autocork/predictor_prior.h>
#include <autocork/predictor_worth.h>

/* Bursts of this flow end with a read, or its connections with a FIN: a pause without one is a stall. */
static __always_inline bool ac_ends_with_reads(const struct ac_predictor *p)
{
	return p->reads >= AC_READS_END && !(p->duplex & 1);
}

/* One more that did. */
static __always_inline void ac_note_end(struct ac_predictor *p)
{
	p->reads = p->reads < AC_READS_MAX - 1 ? p->reads + 2 : AC_READS_MAX;
}

/*
 * Nothing tells yet what a pause without a read means. It happens to most flows when they are new: the agent itself
 * keeps the program waiting when it attaches its observer, and a stop that was none would keep the write before it from
 * being held for long.
 */
static __always_inline bool ac_is_unsure(const struct ac_predictor *p)
{
	return p->reads == AC_READS_UNSURE && !p->paused && !p->holding && !p->overdue && p->len <= 0xff;
}

/* A write came later than burst_gap, and yet in the same burst: bursts of this flow need not end with reads. */
static __always_inline void ac_learn_stall(struct ac_predictor *p)
{
	p->steady = 0;
	if (p->overdue && p->debt < AC_ALLOWANCE * AC_MISS)
		ac_owe(p, AC_OVERDUE_COST);
	p->overdue = 0;
	if (p->reads)
		p->reads--;
}

/*
 * Does the write that comes `gap` after the n-th write of a burst begin a new burst? Learns from the pause.
 *
 *   read between, gap long           yes; held is missed
 *   read between, gap short          yes, unless reads mean nothing on this flow
 *   no read, gap long                yes, unless something is held (late, but in time) or bursts of this flow end with
 *                                    reads and the pause is not very long: then it is a stall in the burst; on a flow
 *                                    that did neither yet, what comes next will tell
 *
 * In shadow nobody ends a hold at max_hold; the length of the pause tells that somebody would have.
 */
static __always_inline bool ac_begins(struct ac_predictor *p, const struct ac_tuning *t, __u32 n, __u32 gap,
				      bool read_since)
{
	bool close = gap <= t->burst_gap_us, in_time;

	if (read_since) {
		if (close && (p->duplex & 1)) {
			if (n < AC_DUPLEX_LEN)
				return false;
			ac_learn_anew(p, p->duplex + 1);
		}
		if (close && !p->holding)
			ac_learn_quick_read(p, ac_streak_any(p) & ac_slot(p, n));
		ac_note_end(p);
		return true;
	}
	in_time = p->holding && (!t->hold_gaps || gap <= ac_hold_limit(p, t, t->hold_gaps * t->burst_gap_us));
	/* Where a policy allows gaps longer than max_hold, a write that follows the deadline is not even late. */
	if (close || in_time || (ac_ends_with_reads(p) && gap <= AC_STALL_GAPS * t->burst_gap_us)) {
		if (p->holding && !in_time) { /* the sweeper was as late as the program: a busy machine */
			p->overdue = 1;
			p->hold = 0;
			p->long_hold = 0;
		}
		ac_learn_stall(p);
		return false;
	}
	if (ac_is_unsure(p) && gap <= AC_STALL_GAPS * t->burst_gap_us) {
		p->paused = n;
		return false;
	}
	if (p->reads)
		p->reads--;
	return true;
}

/*
 * The burst is over. If a read did not end it either, neither was the pause in it a stall: two bursts, of which the
 * second is the one to learn from. Returns its length; they are counted as one.
 */
static __always_inline __u32 ac_whole(struct ac_predictor *p, __u32 n, bool read)
{
	__u32 before = p->paused;

	p->paused = 0;
	if (read || before >= n)
		return n;
	p->cut = p->cut > before ? p->cut - before : 0;
	return n - before;
}

/* The burst's last write so far cannot be held: holding later ones would save little. */
static __always_inline void ac_cut(struct ac_predictor *p)
{
	if (!p->cut && p->len <= 0xff)
		p->cut = p->len;
}

/*
 * A write of `bytes` at now_us; read_since: the program read on the flow since its last write. Says whether to hold it.
 */
static __always_inline struct ac_outcome ac_on_write(struct ac_predictor *p, const struct ac_tuning *t, __u32 now_us,
						     __u32 bytes, bool read_since, enum ac_nagle nagle)
{
	struct ac_outcome outcome = {};
	__u32 gap = now_us - p->last_us, n = p->len;

	p->last_us = now_us;
	if (n && (read_since || gap > t->burst_gap_us || p->overdue) && ac_begins(p, t, n, gap, read_since)) {
		outcome.ended = n;
		outcome.missed = p->holding | p->overdue;
		ac_learn(p, t, ac_whole(p, n, read_since), outcome.missed, true);
		p->overdue = 0;
		if (read_since) /* it ended the hold; in shadow nobody else said so, and the next one begins anew */
			p->holding = 0;
		n = 0;
	} else if (n && ac_is_late(p, t, gap) && p->paused != n) {
		ac_note_late(p, t, n, gap);
	}
	if (!n) {
		ac_begin_patience(p, nagle != AC_NAGLE_OFF);
		p->cut = 0;
		p->first = ac_bucket(bytes) & (AC_FIRST_SLOTS - 1);
		outcome.verdict = (p->hold >> p->first) & 1;
	} else if (n < AC_EXACT) {
		outcome.verdict = (p->hold >> (n + AC_FIRST_SLOTS - 1)) & 1;
	} else {
		outcome.verdict = n + 1 < p->long_hold;
	}
	p->len = n + (n < 0xffff);
	if (nagle == AC_NAGLE_KEEPS)
		ac_note_kept(p, n);
	if (outcome.verdict) {
		if (!p->holding)
			p->since_us = now_us;
		else if (now_us - p->since_us >= ac_wait_bound(p, t, n))
			outcome.verdict = AC_RELEASE;
	}
	if (bytes >= (t->full ? (__u32)t->full << 8 : AC_FULL)) {
		outcome.verdict = AC_RELEASE;
		p->settling = 0; /* what there is to save is little beside this, and need not be found at once */
		ac_cut(p);
	}
	p->holding = outcome.verdict;
	return outcome;
}

/*
 * The burst under way ends otherwise than by the next write. Returns its length; 0 if there was none, or if it may go
 * on: a deadline where bursts end with reads may be a miss or only a stall, which the next write tells.
 */
static __always_inline __u32 ac_on_burst_end(struct ac_predictor *p, const struct ac_tuning *t, enum ac_burst_end cause)
{
	bool closed = cause == AC_END_CLOSE, missed = p->overdue || (p->holding && !closed);
	__u32 n = p->len;

	p->holding = 0;
	if (!n)
		return 0;
	if (missed && cause == AC_END_DEADLINE && ac_ends_with_reads(p)) {
		p->overdue = 1;
		p->hold = 0; /* for the rest of this burst */
		p->long_hold = 0;
		p->steady = 0;
		return 0;
	}
	ac_learn(p, t, ac_whole(p, n, cause == AC_END_READ), missed, missed || !closed);
	p->overdue = 0;
	p->len = 0;
	return n;
}

/* The program did not sleep since a hold began that nothing ended in time: others had its CPU. What comes next, a write
 * or a FIN, says that this was a stall. */
static __always_inline void ac_on_awake(struct ac_predictor *p)
{
	if (p->overdue)
		ac_learn_stall(p);
}

/*
 * The program sends its FIN, by shutdown or close, and did not read since its last write. Right behind that one it is
 * as good as one more write: had the last one been held, both would have left together. And it ends the burst as a read
 * does: the peer needs the whole of it. Returns the length of the burst.
 */
static __always_inline __u32 ac_on_fin(struct ac_predictor *p, const struct ac_tuning *t, __u32 now_us)
{
	__u32 n = p->len, gap = now_us - p->last_us;

	if (!n || gap > t->burst_gap_us)
		return ac_on_burst_end(p, t, AC_END_CLOSE);
	if (ac_is_late(p, t, gap))
		ac_note_late(p, t, n, gap);
	ac_learn(p, t, ac_whole(p, n + 1, false), false, false);
	ac_note_end(p);
	p->holding = 0;
	p->overdue = 0;
	p->len = 0;
	return n;
}

/*
 * The last write is not held after all, or what was held left for a reason of its own (a full segment, an ACK, an
 * option): a burst that ends now is no miss, and what follows in it is no proof that holding pays.
 */
static __always_inline void ac_on_release(struct ac_predictor *p)
{
	p->holding = 0;
	ac_cut(p);
}

/* Writes were made that on_write() was not told of, just now: the burst under way teaches nothing about where bursts
 * end. */
static __always_inline void ac_on_unseen(struct ac_predictor *p, __u32 now_us)
{
	p->last_us = now_us;
	p->holding = 0;
	p->len += !p->len;
	ac_cut(p);
	p->len += p->len < 0xffff;
}

/*
 * Before ac_on_write(), where the write before it left: the program did not sleep since then, and ran for `ran_us`. The
 * rest of the gap went to whom that write woke, or to others. Held, the write would have woken nobody.
 */
static __always_inline void ac_on_ran(struct ac_predictor *p, __u32 now_us, __u32 ran_us)
{
	__u32 gap = now_us - p->last_us;

	if (ran_us >= gap)
		return;
	p->last_us += gap - ran_us;
	p->since_us += gap - ran_us;
}

/* Reads say nothing about this flow's bursts: a read on it is no sign that a hold was wrong. */
static __always_inline bool ac_predictor_duplex(const struct ac_predictor *p)
{
	return p->duplex & 1;
}
