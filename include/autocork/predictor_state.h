/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What the predictor keeps of a flow and of a service, and the constants it decides by (docs/predictor.md says why
 * these). */
#pragma once
#include <autocork/types.h>

#define AC_FIRST_SLOTS 16	/* slots 0 … 15: the first write, by half octave of its size, folded */
#define AC_EXACT 17		/* slots 16 … 31: the 2nd to the 17th write; longer bursts have one safe length */
#define AC_LONG_LEVEL_MAX 6	/* the window of long bursts is at most 128 bursts */
#define AC_STREAK_PLANES 8	/* streaks count to 255 */
#define AC_NEED_START 2		/* streak that lets a new slot hold: "at most 3 messages to learn" */

/*
 * Miss debt: a miss adds AC_MISS, a burst that was foreseen pays back AC_EARN / need_max, and nothing is held above the
 * allowance. Each trial of `duplex`, below, forgives at most two. So misses <= AC_ALLOWANCE + 1 + 2 * AC_DUPLEX_TRIALS
 * + bursts * AC_EARN / need_max / AC_MISS, whatever the program does: with the default confidence of 0.98, 1 in 1228.
 */
#define AC_MISS 12288
#define AC_EARN 560
#define AC_ALLOWANCE 3

/* Average of writes saved per burst, in 1/256: above GAINS a wrapper pays for itself, below IDLE it does not. */
#define AC_SAVED_GAINS 96
#define AC_SAVED_IDLE 48
#define AC_SETTLING 8		/* bursts during which the average follows fast and a flow cannot be idle */

/* Bursts after which a live flow teaches its service's prior again; a flow that closes or misses does so at once. */
#define AC_PRIOR_EVERY 64
#define AC_PRIOR_STREAK 192	/* streak given on the prior's word: planes 6 and 7; own streaks pass it and go on */

#define AC_FULL 16384		/* bytes: a write that fills segments and leaves next to nothing to save */
#define AC_STALL_GAPS 512	/* where bursts end with reads, a pause up to 512 burst_gaps is a stall in the burst */
#define AC_STALL_WINDOW 8	/* one stall in so many bursts may be the scheduler's doing and teaches nothing */
/* Debt for a stall that outlasted max_hold: nobody waited, as the message was not whole. */
#define AC_STALL_COST (AC_MISS / 16)
#define AC_READS_MAX 15		/* of `reads`, below */
#define AC_READS_END 4		/* from here on bursts count as ended by reads */
#define AC_READS_UNSURE 3	/* a new flow: what ends a burst with a pause in it tells what the pause was */
#define AC_INTERRUPTION 8	/* one interrupted burst weighs as much as 8 others */
#define AC_DUPLEX_AFTER 64	/* `interrupted` from which, without gain, reads are tried as meaningless; doubles */
#define AC_DUPLEX_TRIALS 5
#define AC_TRIAL_DEBT (2 * AC_MISS)
#define AC_DUPLEX_LEN 256	/* a burst of that length shows that reads did mean something */

/* What the policy says to the predictor. */
struct ac_tuning {
	__u32 burst_gap_us;	/* a longer pause between two writes starts a new burst */
	__u8 need_max;		/* longest streak that may be asked for: 1/(1-confidence), 2 … 255 */
	__u8 full;		/* bytes of a full segment in 256s, rounded down; 0 = not known, AC_FULL is taken */
	__u16 hold_gaps;	/* max_hold in burst_gaps, rounded up: a longer hold is a miss, whoever ends it; 0 = no
				 * limit */
};

struct ac_predictor {
	__u32 last_us;		/* time of the last write */
	__u32 hold;		/* slots to hold in this burst; fixed while the burst lasts */
	__u16 len;		/* writes so far in the burst under way; 0 = none */
	__u16 long_hold;	/* beyond AC_EXACT: hold while len < long_hold */
	__u8 holding;		/* last verdict was AC_HOLD and nothing ended it yet */
	__u8 first;		/* slot of the burst's first write */
	__u8 reads;		/* 0 … AC_READS_MAX: how surely bursts of this flow end with a read */
	__u8 duplex;		/* bit 0: a read between two close writes does not end a burst; above: trials that
				 * failed */
	__u32 streak[AC_STREAK_PLANES];	/* bursts that went on after a slot since one last stopped there */
	__u32 level[2];		/* 0 … 3: need 2, 8, 32, need_max */
	__u16 long_len;		/* shortest long burst of the last windows, 0 = unknown */
	__u16 long_min;		/* shortest long burst of the window under way */
	__u8 long_seen;		/* long bursts in the window under way */
	__u8 steady;		/* length << 4 | first slot of a burst that would teach nothing any more; 0 = none */
	__u16 interrupted;	/* bursts that a read cut short, AC_INTERRUPTION each, less the others: shows a reader
				 * thread */
	__u16 saved_avg;	/* moving average of writes held per burst, in 1/256 writes */
	__u16 debt;		/* for misses, AC_MISS each */
	__s16 new_debt;		/* what the last ac_prior_learn() does not know of */
	__u8 new_bursts;	/* the same, saturating */
	__u8 long_level : 4;	/* log2 of the window of long bursts that lets long_len grow */
	__u8 settling : 4;	/* bursts left until the average is trusted */
	__u8 overdue;		/* max_hold ran out in this burst: a miss if it ends now, a stall if it goes on */
	__u8 stalled;		/* bursts left in which another stall would count */
	__u8 cut;		/* first write of the burst that could not be held, a full segment or overruled; 0 =
				 * none */
	/* writes before a pause that may have been the burst's end, or a stall in it; 0 = none */
	__u8 paused;
};

/*
 * What flows of the same port and program did, kept per service. Many CPUs write it without a lock: a lost or torn
 * update costs at most a wrong first hold, which the debt bounds.
 */
#define AC_PRIOR_PLANES 4
#define AC_PRIOR_DEBT_MAX (6 * AC_MISS)
struct ac_prior {
	__u32 streak[AC_PRIOR_PLANES];	/* lessons in a row, up to 15, in which the slot always went on */
	__u32 debt;		/* of all flows, in the flows' unit */
	__u16 long_len;		/* safe length that flows agreed on, 0 = none */
	__u16 saved_avg;	/* as in the flows, 1/256 writes */
	__u8 reads;		/* the last flow's, plus 1; 0 = not known */
	__u8 pad[3];
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

_Static_assert(sizeof(struct ac_predictor) <= 76, "part of every flow's kernel memory");
_Static_assert(sizeof(struct ac_prior) <= 48, "part of every service");
