/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The predictor: which write of a burst is its last?
 *
 * Pure: no clock, no map, no kernel call. BPF compiles it into the gate and the observer, `autocork replay` and the unit
 * tests compile it natively, a fuzzer feeds it nonsense. Times are microseconds modulo 2^32 (the kernel's tcp_mstamp).
 *
 * It holds the i-th write of a burst only where the recent bursts of this flow went on after their i-th write, without a
 * break, at least `need` times. A burst that stops at position i resets that position's streak and multiplies its `need`, up to
 * what the policy's confidence c asks for: one stop in 1/(1-c) bursts.
 */
#pragma once
#include <autocork/types.h>

#define AC_POSITIONS 16		/* exact per-position memory; longer bursts are remembered by one safe length */
#define AC_NEED_START 2		/* streak that lets an unknown position hold: "at most 3 messages to learn" */

/* What the policy says to the predictor. */
struct ac_tuning {
	__u32 burst_gap_us;	/* a longer pause between two writes starts a new burst */
	__u16 need_max;		/* longest streak that may be asked for: 1/(1-confidence) */
	__u16 pad;
};

struct ac_position {
	__u8 streak;		/* consecutive bursts that went on after this position, saturating */
	__u8 need;		/* streak from which the write at this position is held */
};

struct ac_predictor {
	struct ac_position position[AC_POSITIONS];	/* [0] is the first write of a burst */
	__u32 last_us;		/* time of the last write */
	__u16 len;		/* writes so far in the burst under way */
	__u16 long_len;		/* bursts above AC_POSITIONS: hold below this length */
	__u16 long_candidate;	/* shortest long burst of the current window */
	__u16 pause;		/* bursts left in which nothing is held (back-off after misses) */
	__u8 long_window;	/* long bursts seen in the current window */
	__u8 backoff;		/* log2 of the last pause */
	__u8 holding;		/* last verdict was AC_HOLD and nothing ended it yet */
	__u8 pad;
	__u16 saved_avg;	/* moving average of writes held per burst, in 1/256 writes */
	__u16 bursts;		/* bursts learned from, saturating */
};

enum ac_verdict { AC_RELEASE, AC_HOLD };

/* Why a burst ended. */
enum ac_burst_end {
	AC_END_READ,		/* the program read, polled or closed */
	AC_END_GAP,		/* a write came after a pause longer than burst_gap */
	AC_END_DEADLINE,	/* max_hold ran out over a held write */
	AC_END_MAX,
};

/* What one call of ac_on_write() found out about the burst *before* this write. */
struct ac_outcome {
	__u16 ended;		/* length of the burst that this write's arrival ended, 0 if it goes on */
	__u8 missed;		/* that burst ended while something was held */
	__u8 verdict;		/* enum ac_verdict for this write */
};
