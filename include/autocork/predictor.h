/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The predictor: which write of a burst is its last?
 *
 * Pure: no clock, no map, no kernel call. BPF compiles it into the gate and the observer, `autocork replay` and the unit
 * tests compile it natively, a fuzzer feeds it nonsense. Times are microseconds modulo 2^32 (the kernel's tcp_mstamp).
 *
 * It holds the i-th write of a burst only where the flow's recent bursts went on after their i-th write, without a break,
 * at least `need` times. All that is decided when a burst ends: the verdicts for the next burst are one word, `hold`, so
 * that a write in the middle of a burst costs a subtraction, a shift and two stores. docs/predictor.md has the reasoning.
 *
 * Counters are bit-sliced: bit i of plane b is bit b of position i's counter. One burst updates all positions with the
 * same few logical operations, without a loop over positions and without a data-dependent branch.
 */
#pragma once
#include <autocork/types.h>

#define AC_POSITIONS 32		/* exact memory per position; beyond it, one safe length */
#define AC_STREAK_PLANES 8	/* streaks count to 255 */
#define AC_NEED_START 2		/* streak that lets an unknown position hold: "at most 3 messages to learn" */

/*
 * Miss credit: every burst earns 1, every miss costs AC_MISS_COST, and nothing is held that could not be paid for. So
 * misses <= (bursts + start + one overdraft) / AC_MISS_COST, whatever the program does.
 */
#define AC_MISS_COST 1000
#define AC_CREDIT_START (3 * AC_MISS_COST)
#define AC_CREDIT_MAX (4 * AC_MISS_COST)

/* Average of writes saved per burst, in 1/256: above GAINS a wrapper pays for itself, below IDLE it does not. */
#define AC_SAVED_GAINS 96
#define AC_SAVED_IDLE 48
#define AC_SETTLING 8		/* bursts during which the average follows fast and a flow cannot be idle */

/* What the policy says to the predictor. */
struct ac_tuning {
	__u32 burst_gap_us;	/* a longer pause between two writes starts a new burst */
	__u16 need_max;		/* longest streak that may be asked for: 1/(1-confidence), 2 … 255 */
	__u16 pad;
};

struct ac_predictor {
	__u32 last_us;		/* time of the last write */
	__u32 hold;		/* bit i: hold the write at position i of this burst; fixed while the burst lasts */
	__u16 len;		/* writes so far in the burst under way; 0 = none */
	__u16 long_hold;	/* beyond AC_POSITIONS: hold while len < long_hold */
	__u8 holding;		/* last verdict was AC_HOLD and nothing ended it yet */
	__u8 long_level;	/* log2 of the window of long bursts that lets long_len grow */
	__u16 long_len;		/* shortest long burst of the last windows, 0 = unknown */
	__u32 streak[AC_STREAK_PLANES];	/* bursts that went on after a position since one last stopped there */
	__u32 level[2];		/* 0 … 3: need 2, 8, 32, need_max */
	__u32 trust;		/* positions held on the prior's word */
	__u16 long_min;		/* shortest long burst of the window under way */
	__u16 long_seen;	/* long bursts in the window under way */
	__s16 credit;		/* miss credit */
	__u16 saved_avg;	/* moving average of writes held per burst, in 1/256 writes */
	__u8 new_misses;	/* since the last ac_prior_learn(), saturating */
	__u8 settling;		/* bursts left until the average is trusted */
	__u16 new_bursts;	/* the same, bursts */
};

/*
 * What flows of the same port and program did, kept per service. Many CPUs write it without a lock: a lost or torn update
 * costs at most a wrong first hold, which the credit bounds.
 */
#define AC_PRIOR_PLANES 4
struct ac_prior {
	__u32 streak[AC_PRIOR_PLANES];	/* lessons in a row, up to 15, in which the position always went on */
	__s32 credit;		/* miss credit of the service, relative to AC_CREDIT_START */
	__u16 long_len;		/* safe length that flows agreed on, 0 = none */
	__u16 saved_avg;	/* as in the flows, 1/256 writes */
};

/* Bursts after which a live flow teaches its service's prior again; a flow that closes or misses does so at once. */
#define AC_PRIOR_EVERY 64

enum ac_verdict { AC_RELEASE, AC_HOLD };

/* Why a burst ended. */
enum ac_burst_end {
	AC_END_READ,		/* the program read or polled */
	AC_END_GAP,		/* a write came after a pause longer than burst_gap */
	AC_END_DEADLINE,	/* max_hold ran out over a held write */
	AC_END_CLOSE,		/* shutdown or close: what was held went out with the FIN, so the hold did no harm */
	AC_END_MAX,
};

/* What one call of ac_on_write() found out about the burst *before* this write. */
struct ac_outcome {
	__u16 ended;		/* length of the burst that this write's arrival ended, 0 if it goes on */
	__u8 missed;		/* that burst ended while something was held */
	__u8 verdict;		/* enum ac_verdict for this write */
};

static __always_inline __u32 ac_popcount(__u32 v)
{
	v -= (v >> 1) & 0x55555555;
	v = (v & 0x33333333) + ((v >> 2) & 0x33333333);
	v = (v + (v >> 4)) & 0x0f0f0f0f;
	return (v * 0x01010101) >> 24;
}

/* Positions whose streak is at least n. */
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

/* Positions whose streak is saturated: the reserve of the miss credit is theirs. */
static __always_inline __u32 ac_streak_full(const struct ac_predictor *p)
{
	__u32 full = ~0u;
	int b;

	for (b = 0; b < AC_STREAK_PLANES; b++)
		full &= p->streak[b];
	return full;
}

/* A position that surprised asks for the longest streak before it is held again. */
static __always_inline void ac_distrust(struct ac_predictor *p, __u32 bit)
{
	int b;

	for (b = 0; b < AC_STREAK_PLANES; b++)
		p->streak[b] &= ~bit;
	p->level[0] |= bit;
	p->level[1] |= bit;
	p->trust &= ~bit;
	p->hold &= ~bit;
}

/* Long bursts: long_len shrinks at once and grows to the minimum of a window that doubles after each surprise. */
static __always_inline void ac_learn_long(struct ac_predictor *p, __u32 n)
{
	if (n < p->long_len) {
		p->long_len = n;
		if (p->long_level < 10)
			p->long_level++;
		p->long_seen = 0;
	}
	if (!p->long_seen || n < p->long_min)
		p->long_min = n;
	p->long_seen++;
	if (p->long_seen >= (AC_NEED_START << (p->long_level & 15))) {
		p->long_len = p->long_min;
		p->long_seen = 0;
	}
}

/* Learns from a burst of n writes and fixes the verdicts for the next one. */
static __always_inline void ac_learn(struct ac_predictor *p, const struct ac_tuning *t, __u32 n, bool missed, bool stopped)
{
	bool is_long = n > AC_POSITIONS;
	__u32 bit = is_long ? 0 : 1u << ((n - 1) & 31);
	__u32 went_on = is_long ? ~0u : bit - 1;
	__u32 full = ac_streak_full(p), carry = went_on & ~full;
	__u32 stop = stopped ? bit : 0, newly, at8, at32, ready, saved, shift;
	int b;

	for (b = 0; b < AC_STREAK_PLANES; b++) {
		__u32 plane = p->streak[b];

		p->streak[b] = (plane ^ carry) & ~stop;
		carry &= plane;
	}
	newly = ac_streak_full(p) & ~full;
	full = (full | newly) & ~stop;

	/* A stop raises the level by one, a miss to the top; a full streak lowers it by one. */
	stop &= ~(p->level[0] & p->level[1]);
	p->level[1] ^= p->level[0] & stop;
	p->level[0] ^= stop;
	newly &= p->level[0] | p->level[1];
	p->level[1] ^= newly & ~p->level[0];
	p->level[0] ^= newly;

	if (is_long && stopped)
		ac_learn_long(p, n);

	p->credit = p->credit < AC_CREDIT_MAX ? p->credit + 1 : AC_CREDIT_MAX;
	if (p->new_bursts < 0xffff)
		p->new_bursts++;
	if (missed) {
		ac_distrust(p, bit);
		p->trust = 0;
		p->credit -= AC_MISS_COST;
		if (p->new_misses < 0xff)
			p->new_misses++;
	}

	at32 = p->streak[5] | p->streak[6] | p->streak[7];
	at8 = p->streak[3] | p->streak[4] | at32;
	ready = (~p->level[1] & ~p->level[0] & (p->streak[1] | p->streak[2] | at8)) |
		(~p->level[1] & p->level[0] & at8) |
		(p->level[1] & ~p->level[0] & at32) |
		ac_streak_at_least(p, t->need_max) | p->trust;
	p->long_hold = p->long_len;
	if (p->credit < AC_MISS_COST) {
		ready = p->credit < 0 ? 0 : ready & full;
		p->long_hold = 0;
	}
	p->hold = ready;

	/* What the new verdicts would have saved in this very burst: known one burst earlier than what they do save. */
	saved = ac_popcount(ready & went_on);
	if (is_long && p->long_hold > AC_POSITIONS)
		saved += (n < p->long_hold ? n : p->long_hold) - 1 - AC_POSITIONS;
	saved = missed ? 0 : saved > 255 ? 0xff00 : saved << 8;
	shift = 4;
	if (p->settling) {
		p->settling--;
		shift = 1;
	}
	p->saved_avg += ((__s32)saved - (__s32)p->saved_avg) >> shift;
}

/* Starts a flow; `prior` may be NULL or all zero: then nothing is held until the flow has shown two equal bursts. */
static __always_inline void ac_predictor_init(struct ac_predictor *p, const struct ac_prior *prior)
{
	__builtin_memset(p, 0, sizeof(*p));
	p->credit = AC_CREDIT_START;
	p->settling = AC_SETTLING;
	if (!prior)
		return;
	p->credit += prior->credit < -AC_CREDIT_START ? -AC_CREDIT_START : prior->credit > 0 ? 0 : prior->credit;
	if (p->credit < AC_MISS_COST)
		return;
	p->trust = prior->streak[2] | prior->streak[3];	/* four lessons in a row */
	p->hold = p->trust;
	if (p->trust >> (AC_POSITIONS - 1)) {
		p->long_len = prior->long_len;
		p->long_hold = p->long_len;
	}
	if (p->trust)
		p->saved_avg = prior->saved_avg;
}

/*
 * A write of `bytes` at now_us; read_since: the program read on the flow since its last write. Says whether to hold it.
 */
static __always_inline struct ac_outcome ac_on_write(struct ac_predictor *p, const struct ac_tuning *t, __u32 now_us,
						     __u32 bytes, bool read_since)
{
	struct ac_outcome outcome = {};
	__u32 gap = now_us - p->last_us, n = p->len;

	p->last_us = now_us;
	if ((read_since || gap > t->burst_gap_us) && n) {
		if (!read_since && p->holding) {
			/* Late, but in time: the burst goes on; the position is held again only after a long streak. */
			if (n <= AC_POSITIONS)
				ac_distrust(p, 1u << ((n - 1) & 31));
		} else {
			outcome.ended = n;
			outcome.missed = p->holding;
			ac_learn(p, t, n, p->holding, true);
			n = 0;
		}
	}
	if (n < AC_POSITIONS)
		outcome.verdict = (p->hold >> n) & 1;
	else
		outcome.verdict = n + 1 < p->long_hold;
	p->len = n + (n < 0xffff);
	p->holding = outcome.verdict;
	return outcome;
}

/* The burst under way ends otherwise than by the next write. Returns its length, 0 if there was none. */
static __always_inline __u32 ac_on_burst_end(struct ac_predictor *p, const struct ac_tuning *t, enum ac_burst_end cause)
{
	__u32 n = p->len;
	bool closed = cause == AC_END_CLOSE;

	if (!n)
		return 0;
	ac_learn(p, t, n, p->holding && !closed, !closed);
	p->len = 0;
	p->holding = 0;
	return n;
}

/* What was held left for a reason of its own (a full segment, an ACK, an option): a burst that ends now is no miss. */
static __always_inline void ac_on_release(struct ac_predictor *p)
{
	p->holding = 0;
}

/* Worth being managed: its bursts save writes. */
static __always_inline bool ac_predictor_gains(const struct ac_predictor *p)
{
	return p->saved_avg >= AC_SAVED_GAINS;
}

/* Should come off the wrapper: too little is saved to pay for it. */
static __always_inline bool ac_predictor_idle(const struct ac_predictor *p)
{
	return p->saved_avg < AC_SAVED_IDLE && !p->settling;
}

/* Teaches the prior what the flow did since the last lesson; call it when a flow closes and every N bursts. */
static __always_inline void ac_prior_learn(struct ac_prior *prior, struct ac_predictor *p)
{
	__u32 stopped = p->level[0] | p->level[1], went_on = 0, carry;
	__s32 credit;
	int b;

	for (b = 0; b < AC_STREAK_PLANES; b++)
		went_on |= p->streak[b];
	carry = went_on & ~(prior->streak[0] & prior->streak[1] & prior->streak[2] & prior->streak[3]);
	for (b = 0; b < AC_PRIOR_PLANES; b++) {
		__u32 plane = prior->streak[b];

		prior->streak[b] = (plane ^ carry) & ~stopped;
		carry &= plane;
	}
	credit = prior->credit + p->new_bursts - p->new_misses * AC_MISS_COST;
	prior->credit = credit > AC_CREDIT_MAX ? AC_CREDIT_MAX : credit < -AC_CREDIT_MAX ? -AC_CREDIT_MAX : credit;
	p->new_bursts = 0;
	p->new_misses = 0;
	prior->long_len = p->long_len && (!prior->long_len || p->long_len < prior->long_len) ? p->long_len : prior->long_len;
	prior->saved_avg += ((__s32)p->saved_avg - (__s32)prior->saved_avg) >> 2;
}

_Static_assert(sizeof(struct ac_predictor) <= 72, "part of every flow's kernel memory");
_Static_assert(sizeof(struct ac_prior) <= 48, "part of every service");
