/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The predictor: which write of a burst is its last?
 *
 * Pure: no clock, no map, no kernel call. BPF compiles it into the gate and the observer, `autocork replay` and the unit
 * tests compile it natively, a fuzzer feeds it nonsense. Times are microseconds modulo 2^32 (the kernel's tcp_mstamp).
 *
 * A write is held only where the flow's recent bursts went on after such a write, without a break, at least `need` times.
 * All that is decided when a burst ends: the verdicts for the next burst are one word, `hold`, so that a write in the
 * middle of a burst costs a subtraction, a shift and a few stores. docs/predictor.md has the reasoning.
 *
 * "Such a write" is a slot: the first write of a burst by its size (a header that is the whole answer has another size
 * than one that a body follows), the others by their position. Counters are bit-sliced: bit i of plane b is bit b of slot
 * i's counter. One burst updates all slots with the same few logical operations, without a loop over positions.
 */
#pragma once
#include <autocork/histogram.h>
#include <autocork/types.h>

#define AC_FIRST_SLOTS 16	/* slots 0 … 15: the first write, by half octave of its size, folded */
#define AC_EXACT 17		/* slots 16 … 31: the 2nd to the 17th write; longer bursts have one safe length */
#define AC_LONG_LEVEL_MAX 6	/* the window of long bursts is at most 128 bursts */
#define AC_STREAK_PLANES 8	/* streaks count to 255 */
#define AC_NEED_START 2		/* streak that lets a new slot hold: "at most 3 messages to learn" */

/*
 * Miss debt: a miss adds AC_MISS, a burst that was foreseen pays back AC_EARN / need_max, and nothing is held above the
 * allowance. Each trial of `duplex`, below, forgives at most two. So misses <= AC_ALLOWANCE + 1 + 2 * AC_DUPLEX_TRIALS +
 * bursts * AC_EARN / need_max / AC_MISS, whatever the program does: with the default confidence of 0.98, 1 in 1024.
 */
#define AC_MISS 12288
#define AC_EARN 614
#define AC_ALLOWANCE 3

/* Average of writes saved per burst, in 1/256: above GAINS a wrapper pays for itself, below IDLE it does not. */
#define AC_SAVED_GAINS 96
#define AC_SAVED_IDLE 48
#define AC_SETTLING 8		/* bursts during which the average follows fast and a flow cannot be idle */

/* Bursts after which a live flow teaches its service's prior again; a flow that closes or misses does so at once. */
#define AC_PRIOR_EVERY 64
#define AC_PRIOR_STREAK 192	/* streak given on the prior's word: planes 6 and 7; own streaks pass it and go on */

#define AC_STALL_GAPS 64	/* where bursts end with reads, a pause up to 64 burst_gaps is a stall in the burst */
#define AC_READS_MAX 15		/* of `reads`, below */
#define AC_READS_END 4		/* from here on bursts count as ended by reads */
#define AC_INTERRUPTION 8	/* one interrupted burst weighs as much as 8 others */
#define AC_DUPLEX_AFTER 64	/* `interrupted` from which, without gain, reads are tried as meaningless; doubles */
#define AC_DUPLEX_TRIALS 5
#define AC_TRIAL_DEBT (2 * AC_MISS)
#define AC_DUPLEX_LEN 256	/* a burst of that length shows that reads did mean something */

/* What the policy says to the predictor. */
struct ac_tuning {
	__u32 burst_gap_us;	/* a longer pause between two writes starts a new burst */
	__u16 need_max;		/* longest streak that may be asked for: 1/(1-confidence), 2 … 255 */
	__u16 hold_gaps;	/* max_hold in burst_gaps, rounded up: a longer hold is a miss, whoever ends it; 0 = no limit */
};

struct ac_predictor {
	__u32 last_us;		/* time of the last write */
	__u32 hold;		/* slots to hold in this burst; fixed while the burst lasts */
	__u16 len;		/* writes so far in the burst under way; 0 = none */
	__u16 long_hold;	/* beyond AC_EXACT: hold while len < long_hold */
	__u8 holding;		/* last verdict was AC_HOLD and nothing ended it yet */
	__u8 first;		/* slot of the burst's first write */
	__u8 reads;		/* 0 … AC_READS_MAX: how surely bursts of this flow end with a read */
	__u8 duplex;		/* bit 0: a read between two close writes does not end a burst; above: trials that failed */
	__u32 streak[AC_STREAK_PLANES];	/* bursts that went on after a slot since one last stopped there */
	__u32 level[2];		/* 0 … 3: need 2, 8, 32, need_max */
	__u16 long_len;		/* shortest long burst of the last windows, 0 = unknown */
	__u16 long_min;		/* shortest long burst of the window under way */
	__u8 long_seen;		/* long bursts in the window under way */
	__u8 steady;		/* length << 4 | first slot of a burst that would teach nothing any more; 0 = none */
	__u16 interrupted;	/* bursts that a read cut short, AC_INTERRUPTION each, less the others: shows a reader thread */
	__u16 saved_avg;	/* moving average of writes held per burst, in 1/256 writes */
	__u16 debt;		/* for misses, AC_MISS each */
	__s16 new_debt;		/* what the last ac_prior_learn() does not know of */
	__u8 new_bursts;	/* the same, saturating */
	__u8 long_level : 4;	/* log2 of the window of long bursts that lets long_len grow */
	__u8 settling : 4;	/* bursts left until the average is trusted */
};

/*
 * What flows of the same port and program did, kept per service. Many CPUs write it without a lock: a lost or torn update
 * costs at most a wrong first hold, which the credit bounds.
 */
#define AC_PRIOR_PLANES 4
#define AC_PRIOR_DEBT_MAX (6 * AC_MISS)
struct ac_prior {
	__u32 streak[AC_PRIOR_PLANES];	/* lessons in a row, up to 15, in which the slot always went on */
	__u32 debt;		/* of all flows, in the flows' unit */
	__u16 long_len;		/* safe length that flows agreed on, 0 = none */
	__u16 saved_avg;	/* as in the flows, 1/256 writes */
};

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
	return p->streak[7] & p->streak[6] & ~(p->streak[5] | p->streak[4] | p->streak[3] | p->streak[2] |
					       p->streak[1] | p->streak[0]);
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
 * A read came between two close writes, the first of which usually is not the last of its burst (`surprise`), or usually
 * is. Where it surprises often and nothing is gained, a reader thread may be at work: try for a while not to heed reads.
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

/* A hold was wrong: the slot needs two levels more, a prior that was wrong has said its last word, and there is a debt. */
static __always_inline void ac_learn_miss(struct ac_predictor *p, __u32 slot)
{
	ac_level_up(p, slot);
	ac_level_up(p, slot);
	ac_streak_clear(p, slot | ac_streak_prior(p));
	p->steady = 0;
	p->debt += AC_MISS;
	p->new_debt = p->new_debt > AC_MISS ? p->new_debt : p->new_debt + AC_MISS;
	if ((p->duplex & 1) && p->debt >= 2 * AC_MISS)
		ac_learn_anew(p, p->duplex + 1);
}

/* Learns from a burst of n writes and fixes the verdicts for the next one. */
static __always_inline void ac_learn(struct ac_predictor *p, const struct ac_tuning *t, __u32 n, bool missed, bool stopped)
{
	bool is_long = n > AC_EXACT;
	__u32 last = ac_slot(p, n), first = ac_slot(p, 1), stop = stopped ? last : 0;
	__u32 full, went_on = 0, earn, carry, newly, at8, at32, ready, saved, shift = 4;
	__u32 key = n < 16 ? n << 4 | p->first : 0;
	bool steady;
	__s32 change;
	int b;

	p->new_bursts += p->new_bursts < 0xff;
	if (key && key == p->steady && stopped && !missed)
		return;

	full = ac_streak_full(p);
	if (is_long)
		went_on = ~0u << AC_FIRST_SLOTS | first;
	else if (n > 1)
		went_on = ((last - 1) & (~0u << AC_FIRST_SLOTS)) | first;

	carry = went_on & ~full;
	/* A burst that changes nothing need not be learned from when it comes again. */
	steady = !carry && !(ac_streak_any(p) & last) && (p->level[0] & p->level[1] & last) && !p->debt &&
		 !p->settling;
	for (b = 0; b < AC_STREAK_PLANES; b++) {
		__u32 plane = p->streak[b];

		p->streak[b] = (plane ^ carry) & ~stop;
		carry &= plane;
	}
	newly = ac_streak_full(p) & ~full;
	full = (full | newly) & ~stop;
	ac_level_up(p, stop);
	ac_level_down(p, newly);
	if (is_long && stopped)
		ac_learn_long(p, n);
	if (missed)
		ac_learn_miss(p, last);

	at32 = p->streak[5] | p->streak[6] | p->streak[7];
	at8 = p->streak[3] | p->streak[4] | at32;
	ready = (~p->level[1] & ~p->level[0] & (p->streak[1] | p->streak[2] | at8)) | (~p->level[1] & p->level[0] & at8) |
		(p->level[1] & ~p->level[0] & at32) | ac_streak_at_least(p, t->need_max);

	/* Only a burst that the verdicts fit pays back: random bursts do not earn the next miss. */
	saved = ac_popcount(ready & went_on);
	if (saved && !missed) {
		earn = AC_EARN / (t->need_max | 1); /* never by zero */
		earn = earn < p->debt ? earn : p->debt;
		p->debt -= earn;
		p->new_debt -= p->new_debt > -2 * AC_MISS ? earn : 0;
	}
	p->long_hold = p->long_len;
	if (p->debt) { /* the deeper in debt, the longer the streak that may risk another miss */
		ready &= p->debt <= AC_MISS ? at8 : p->debt <= 2 * AC_MISS ? at32 : p->debt <= 3 * AC_MISS ? full : 0;
		if (p->debt > (AC_ALLOWANCE - 1) * AC_MISS)
			p->long_hold = 0;
	}
	p->hold = ready;

	/* What the new verdicts would have saved in this very burst: known one burst earlier than what they do save. */
	saved = ac_popcount(ready & went_on);
	if (is_long && p->long_hold > AC_EXACT)
		saved += (n < p->long_hold ? n : p->long_hold) - 1 - AC_EXACT;
	saved = saved > 255 ? 0xff00 : saved << 8;
	if (p->settling) {
		p->settling--;
		shift = 1;
	}
	change = ((__s32)saved - (__s32)p->saved_avg) >> shift;
	p->saved_avg += change;
	p->steady = steady && !change && !missed && stopped ? key : 0;
}

/* Starts a flow; `prior` may be NULL or all zero: then nothing is held until the flow has shown two equal bursts. */
static __always_inline void ac_predictor_init(struct ac_predictor *p, const struct ac_prior *prior)
{
	__u32 trusted;

	__builtin_memset(p, 0, sizeof(*p));
	p->settling = AC_SETTLING;
	if (!prior)
		return;
	p->debt = prior->debt < AC_ALLOWANCE * AC_MISS ? prior->debt : AC_ALLOWANCE * AC_MISS;
	trusted = prior->streak[2] | prior->streak[3]; /* four lessons in a row */
	p->streak[7] = trusted;
	p->streak[6] = trusted;
	p->long_len = trusted >> 31 ? prior->long_len : 0; /* if the last exact slot goes on, so do long bursts */
	p->saved_avg = prior->saved_avg;
	if (p->debt > (AC_ALLOWANCE - 1) * AC_MISS)
		return;
	p->hold = trusted;
	p->long_hold = p->long_len;
}

/* Bursts of this flow end with a read: a pause without one is a stall. */
static __always_inline bool ac_ends_with_reads(const struct ac_predictor *p)
{
	return p->reads >= AC_READS_END && !(p->duplex & 1);
}

/* A write came later than burst_gap, and yet in the same burst: what was written before it should not have been held. */
static __always_inline void ac_learn_stall(struct ac_predictor *p, __u32 n)
{
	__u32 slot = ac_slot(p, n);

	ac_streak_clear(p, slot);
	ac_level_up(p, slot & ~p->level[0] & ~p->level[1]);
	p->hold &= ~slot;
	p->steady = 0;
	if (p->reads)
		p->reads--;
}

/*
 * Does the write that comes `gap` after the n-th write of a burst begin a new burst? Learns from the pause.
 *
 *   read between, gap long           yes; held is missed
 *   read between, gap short          yes, unless reads mean nothing on this flow
 *   no read, gap long                yes, unless something is held (late, but in time) or bursts of this flow end with
 *                                    reads and the pause is not very long: then it is a stall in the burst
 *
 * In shadow nobody ends a hold at max_hold; the length of the pause tells that somebody would have.
 */
static __always_inline bool ac_begins(struct ac_predictor *p, const struct ac_tuning *t, __u32 n, __u32 gap, bool read_since)
{
	bool close = gap <= t->burst_gap_us;

	if (read_since) {
		if (close && (p->duplex & 1)) {
			if (n < AC_DUPLEX_LEN)
				return false;
			ac_learn_anew(p, p->duplex + 1);
		}
		if (close && !p->holding)
			ac_learn_quick_read(p, ac_streak_any(p) & ac_slot(p, n));
		p->reads = p->reads < AC_READS_MAX - 1 ? p->reads + 2 : AC_READS_MAX;
		return true;
	}
	if (p->holding ? !t->hold_gaps || gap <= t->hold_gaps * t->burst_gap_us :
			 ac_ends_with_reads(p) && gap <= AC_STALL_GAPS * t->burst_gap_us) {
		ac_learn_stall(p, n);
		return false;
	}
	if (p->reads)
		p->reads--;
	return true;
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
	if (n && (read_since || gap > t->burst_gap_us) && ac_begins(p, t, n, gap, read_since)) {
		outcome.ended = n;
		outcome.missed = p->holding;
		ac_learn(p, t, n, p->holding, true);
		n = 0;
	}
	if (!n) {
		p->first = ac_bucket(bytes) & (AC_FIRST_SLOTS - 1);
		outcome.verdict = (p->hold >> p->first) & 1;
	} else if (n < AC_EXACT) {
		outcome.verdict = (p->hold >> (n + AC_FIRST_SLOTS - 1)) & 1;
	} else {
		outcome.verdict = n + 1 < p->long_hold;
	}
	p->len = n + (n < 0xffff);
	p->holding = outcome.verdict;
	return outcome;
}

/*
 * The burst under way ends otherwise than by the next write. Returns its length; 0 if there was none, or if it may go on: a
 * deadline where bursts end with reads is a miss, but maybe only a stall, which the next write tells.
 */
static __always_inline __u32 ac_on_burst_end(struct ac_predictor *p, const struct ac_tuning *t, enum ac_burst_end cause)
{
	bool closed = cause == AC_END_CLOSE, missed = p->holding && !closed;
	__u32 n = p->len;

	p->holding = 0;
	if (!n)
		return 0;
	if (missed && cause == AC_END_DEADLINE && ac_ends_with_reads(p)) {
		ac_learn_miss(p, ac_slot(p, n));
		p->hold = 0;	/* for the rest of this burst */
		p->long_hold = 0;
		return 0;
	}
	ac_learn(p, t, n, missed, !closed);
	p->len = 0;
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

/* Reads say nothing about this flow's bursts: a read on it is no sign that a hold was wrong. */
static __always_inline bool ac_predictor_duplex(const struct ac_predictor *p)
{
	return p->duplex & 1;
}

/* The prior should hear of what happened: enough bursts, or a miss. */
static __always_inline bool ac_prior_due(const struct ac_predictor *p)
{
	return p->new_bursts >= AC_PRIOR_EVERY || p->new_debt > 0;
}

/* Teaches the prior what the flow did since the last lesson; call it when a flow closes and whenever ac_prior_due(). */
static __always_inline void ac_prior_learn(struct ac_prior *prior, struct ac_predictor *p)
{
	__u32 stopped = p->level[0] | p->level[1], carry = ac_streak_any(p) & ~ac_streak_prior(p);
	__s32 debt = (__s32)prior->debt + p->new_debt;
	int b;

	carry &= ~(prior->streak[0] & prior->streak[1] & prior->streak[2] & prior->streak[3]);
	for (b = 0; b < AC_PRIOR_PLANES; b++) {
		__u32 plane = prior->streak[b];

		prior->streak[b] = (plane ^ carry) & ~stopped;
		carry &= plane;
	}
	prior->debt = debt < 0 ? 0 : debt > AC_PRIOR_DEBT_MAX ? AC_PRIOR_DEBT_MAX : debt;
	if (p->long_len) {
		if (p->long_len < prior->long_len || !prior->long_len)
			prior->long_len = p->long_len;
		else
			prior->long_len += (p->long_len - prior->long_len) >> 3;
	}
	prior->saved_avg += ((__s32)p->saved_avg - (__s32)prior->saved_avg) >> 2;
	p->new_debt = 0;
	p->new_bursts = 0;
}

_Static_assert(sizeof(struct ac_predictor) <= 72, "part of every flow's kernel memory");
_Static_assert(sizeof(struct ac_prior) <= 48, "part of every service");
