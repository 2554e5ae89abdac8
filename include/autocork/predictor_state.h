/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What the predictor keeps of a flow and of a service, and the constants it decides by (docs/predictor.md says why
 * these). */
#pragma once
#include <autocork/types.h>

#define AC_FIRST_SLOTS 16   /* slots 0 … 15: the first write, by half octave of its size, folded */
#define AC_EXACT 17	    /* slots 16 … 31: the 2nd to the 17th write; longer bursts have one safe length */
#define AC_LONG_LEVEL_MAX 6 /* the window of long bursts is at most 128 bursts */
#define AC_STREAK_PLANES 8  /* streaks count to 255 */
#define AC_NEED_START 2	    /* streak that lets a new slot hold: "at most 3 messages to learn" */

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
#define AC_FALL_SHIFT 6 /* the average falls by 1/64 a burst: about 110 idle bursts from 1 to IDLE */
#define AC_SETTLING 8	/* bursts during which the average follows fast and a flow cannot be idle */

/* Bursts after which a live flow teaches its service's prior again; a flow that closes or misses does so at once. */
#define AC_PRIOR_EVERY 64
#define AC_PRIOR_STREAK 192 /* streak given on the prior's word: planes 6 and 7; own streaks pass it and go on */

#define AC_FULL 16384	   /* bytes: a write that fills segments and leaves next to nothing to save */
#define AC_STALL_GAPS 512  /* where bursts end with reads, a pause up to 512 burst_gaps is a stall in the burst */
#define AC_READS_MAX 15	   /* of `reads`, below */
#define AC_READS_END 4	   /* from here on bursts count as ended by reads */
#define AC_READS_UNSURE 3  /* a new flow: what ends a burst with a pause in it tells what the pause was */
#define AC_INTERRUPTION 8  /* one interrupted burst weighs as much as 8 others */
#define AC_DUPLEX_AFTER 64 /* `interrupted` from which, without gain, reads are tried as meaningless; doubles */
#define AC_DUPLEX_TRIALS 5
#define AC_TRIAL_DEBT (2 * AC_MISS)
#define AC_DUPLEX_LEN 256 /* a burst of that length shows that reads did mean something */

/*
 * What a wait may cost. A write that is held waits for the next one; `cost` says per slot how long that lately was, in
 * units of the budget t->wait_us and less what was earned: a wait within the budget takes 1 off, a longer one adds
 * about its excess (2, 6, 32). The slot is held while that is below AC_COST_HIGH, so while the mean wait per packet
 * saved is within the budget, and only a wait within the budget adds to the slot's streak.
 */
#define AC_COST_PLANES 6 /* 0 … 63 */
#define AC_COST_HIGH 40	 /* one wait of the longest class is borne, two within 24 bursts are not */
#define AC_COST_LONG 32	 /* what a wait of the longest class adds */
#define AC_COST_MID 6
#define AC_COST_LATE 2
#define AC_WAIT_MID 3		      /* budgets: longer waits add AC_COST_MID */
#define AC_WAIT_LONG 12		      /* longer waits add AC_COST_LONG */
#define AC_OVERDUE_COST (AC_MISS / 8) /* debt for a held write that waited max_hold and was followed after all */
/*
 * What the first byte may wait in all, in budgets: AC_BOUND, and where bursts end with reads, so that the peer needs
 * all of a burst, a quarter more for each write of it, up to AC_BOUND_MAX.
 */
#define AC_BOUND 3
#define AC_BOUND_MAX 25
#define AC_FEED_HOLD 16 /* a feed's hold ends after so many budgets, not at max_hold */
/*
 * Without TCP_NODELAY the other way is a delayed ACK, 40 ms. Credit for misses: a stall that was seen buys
 * AC_STALL_BUYS, each of the AC_PROOFS next holds that were right AC_SAVED_BUYS, a miss takes one, a quick ACK of what
 * Nagle kept takes all. So misses <= 20 per stall seen, 2 ms each beside 40.
 */
#define AC_STALL_US 10000 /* so long from the last write that Nagle kept to the ACK is a stall */
#define AC_STALL_BUYS 4
#define AC_SAVED_BUYS 2
#define AC_PROOFS 8 /* holds that may buy misses after a stall: peers stop delaying ACKs */
#define AC_CREDIT_MAX 15

/* Off the wrapper: not on it again for half a second, then twice as long, up to 67 s. */
#define AC_REST_US 524288u
#define AC_REST_DOUBLES 7
#define AC_REST_LONGEST_US (AC_REST_US << AC_REST_DOUBLES)
#define AC_REST_FORGOTTEN 8 /* times the next rest on the wrapper: then the first one is short again */
#define AC_REST_WATCHED 1   /* so many rests are watched to their end */

/* What Nagle's algorithm says to a write. */
enum ac_nagle {
	AC_NAGLE_OFF,	/* TCP_NODELAY */
	AC_NAGLE_SENDS, /* no TCP_NODELAY, nothing small in flight */
	AC_NAGLE_KEEPS, /* it waits for an ACK, whatever the verdict: holding it is free */
};

/* What the policy says to the predictor. */
struct ac_tuning {
	__u32 burst_gap_us; /* a longer pause between two writes starts a new burst */
	__u8 need_max;	    /* longest streak that may be asked for: 1/(1-confidence), 2 … 255 */
	__u8 full;	    /* bytes of a full segment in 256s, rounded down; 0 = not known, AC_FULL is taken */
	__u16 hold_gaps;    /* max_hold in burst_gaps, rounded up: a longer hold is a miss, whoever ends it; 0 = no
			     * limit */
	__u16 wait_us;	    /* how much waiting a packet saved is worth: the budget of `cost`, below */
};

struct ac_predictor {
	__u32 last_us;	 /* time of the last write */
	__u32 hold;	 /* slots to hold in this burst; fixed while the burst lasts */
	__u16 len;	 /* writes so far in the burst under way; 0 = none */
	__u16 long_hold; /* beyond AC_EXACT: hold while len < long_hold */
	__u8 holding;	 /* last verdict was AC_HOLD and nothing ended it yet */
	__u8 first;	 /* slot of the burst's first write */
	__u8 reads;	 /* 0 … AC_READS_MAX: how surely bursts of this flow end with a read */
	__u8 duplex;	 /* bit 0: a read between two close writes does not end a burst; above: trials that
			  * failed */
	__u32 streak[AC_STREAK_PLANES]; /* bursts that went on after a slot since one last stopped there */
	__u32 level[2];			/* 0 … 3: need 2, 8, 32, need_max */
	__u16 long_len;			/* shortest long burst of the last windows, 0 = unknown */
	__u16 long_min;			/* shortest long burst of the window under way */
	__u8 long_seen;			/* long bursts in the window under way */
	__u8 steady;	     /* length << 4 | first slot of a burst that would teach nothing any more; 0 = none */
	__u16 interrupted;   /* bursts that a read cut short, AC_INTERRUPTION each, less the others: shows a reader
			      * thread */
	__u16 saved_avg;     /* moving average of writes held per burst, in 1/256 writes */
	__u16 debt;	     /* for misses, AC_MISS each */
	__s16 new_debt;	     /* what the last ac_prior_learn() does not know of */
	__u8 new_bursts;     /* the same, saturating */
	__u8 long_level : 4; /* log2 of the window of long bursts that lets long_len grow */
	__u8 settling : 4;   /* bursts left until the average is trusted */
	__u8 overdue;	     /* max_hold ran out in this burst: a miss if it ends now, a stall if it goes on */
	__u8 cut;	     /* first write of the burst that could not be held, a full segment or overruled; 0 =
			      * none */
	/* writes before a pause that may have been the burst's end, or a stall in it; 0 = none */
	__u8 paused;
	__u8 nagle : 4;	     /* misses that stalls have bought: while > 0 the flow is held for Nagle's sake */
	__u8 kept : 1;	     /* Nagle keeps a write of this burst */
	__u8 resting : 1;    /* it came off a wrapper: rest_until_us counts */
	__u8 stall_seen : 1; /* what Nagle kept last was a stall */
	__u8 long_kept : 1;  /* Nagle kept a write beyond the safe length: no length is safe enough */
	__u8 patient : 1;    /* no TCP_NODELAY and nagle: decided when the burst begins */
	__u8 tried : 1;	     /* it went on a wrapper again, at rest_until_us */
	__u8 proofs;	     /* holds that may still buy misses before another stall must be seen */
	__u8 rests;	     /* the next rest is so many times doubled */
	__u8 long_cost;	     /* `cost` for the writes beyond AC_EXACT */
	__u32 went;	     /* slots that ever went on while there was credit */
	__u32 since_us;	     /* time of the first write of the hold under way */
	__u32 rest_until_us;
	__u32 late[2]; /* of this burst: class 1 ... 3 of the wait after each slot, bit-sliced */
	__u32 expired; /* slots of this burst after which max_hold went by */
	__u32 cost[AC_COST_PLANES];
};

/*
 * What flows of the same port and program did, kept per service. Many CPUs write it without a lock: a lost or torn
 * update costs at most a wrong first hold, which the debt bounds.
 */
#define AC_PRIOR_PLANES 4
#define AC_PRIOR_DEBT_MAX (6 * AC_MISS)
struct ac_prior {
	__u32 streak[AC_PRIOR_PLANES]; /* lessons in a row, up to 15, in which the slot always went on */
	__u32 debt;		       /* of all flows, in the flows' unit */
	__u16 long_len;		       /* safe length that flows agreed on, 0 = none */
	__u16 saved_avg;	       /* as in the flows, 1/256 writes */
	__u8 reads;		       /* the last flow's, plus 1; 0 = not known */
	/* as in the flow that taught last */
	__u8 nagle;
	__u8 proofs;
	__u8 flags; /* enum ac_prior_flags */
	__u8 rests; /* 0: nobody rests */
	__u8 pad[3];
	__u32 went;
	__u32 rest_until_us;
};

enum ac_prior_flags {
	AC_PRIOR_LONG_KEPT = 1 << 0,
	AC_PRIOR_STALL_SEEN = 1 << 1,
};

enum ac_verdict { AC_RELEASE, AC_HOLD };

/* Why a burst ended. */
enum ac_burst_end {
	AC_END_READ,	 /* the program read or polled */
	AC_END_GAP,	 /* a write came after a pause longer than burst_gap */
	AC_END_DEADLINE, /* max_hold ran out over a held write */
	AC_END_CLOSE,	 /* shutdown or close: what was held went out with the FIN, so the hold did no harm */
	AC_END_MAX,
};

/* What one call of ac_on_write() found out about the burst *before* this write. */
struct ac_outcome {
	__u16 ended;  /* length of the burst that this write's arrival ended, 0 if it goes on */
	__u8 missed;  /* that burst ended while something was held */
	__u8 verdict; /* enum ac_verdict for this write */
};

_Static_assert(sizeof(struct ac_predictor) <= 132, "part of every flow's kernel memory");
_Static_assert(sizeof(struct ac_prior) <= 48, "part of every service");
