/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Where the program did not set TCP_NODELAY, Nagle's algorithm keeps a small write while an earlier one is not
 * acknowledged, and a peer that delays its ACK makes that 40 ms. Beside this a hold that was wrong costs little: stalls
 * that were seen give credit for misses, and with credit the flow is `patient`.
 */
#pragma once
#include <autocork/predictor_slots.h>

/*
 * Packets that do not leave because `writes` were held, `joined` by a last write that was not. Without the hold Nagle's
 * algorithm would have sent the first one alone if nothing was on its way, and joined all the others until the ACK.
 */
static __always_inline __u32 ac_packets_saved(__u32 writes, bool joined, enum ac_nagle nagle)
{
	__u32 saved = writes - !joined;

	if (nagle == AC_NAGLE_OFF)
		return saved;
	return nagle == AC_NAGLE_SENDS && saved;
}

/* When the credit is used up, nothing is known any more of where bursts go on. */
static __always_inline void ac_credit(struct ac_predictor *p, int by)
{
	int credit = p->nagle + by;

	p->nagle = credit < 0 ? 0 : credit > AC_CREDIT_MAX ? AC_CREDIT_MAX : credit;
	if (!p->nagle) {
		p->went = 0;
		p->long_kept = 0;
	}
}

/*
 * What a patient flow holds: every slot that ever went on. A first write of a size that was never seen to be the whole
 * message is as good as one that went on.
 */
static __always_inline __u32 ac_patient_slots(const struct ac_predictor *p)
{
	__u32 firsts = (1u << AC_FIRST_SLOTS) - 1;

	return p->went | (p->went & firsts ? firsts & ~(p->level[0] | p->level[1]) : 0);
}

/* Beyond AC_EXACT: up to the safe length, or if there is none, always. */
static __always_inline __u16 ac_patient_long(const struct ac_predictor *p)
{
	return !(p->went >> 31) ? p->long_hold : p->long_kept || !p->long_len ? 0xffff : p->long_len;
}

/* A burst begins: what does Nagle's algorithm do on this flow? */
static __always_inline void ac_begin_patience(struct ac_predictor *p, bool nagle)
{
	bool patient = nagle && p->nagle;

	p->kept = 0;
	if (p->patient == patient)
		return;
	p->patient = patient; /* the verdicts are others at once */
	p->steady = 0;
	if (patient) {
		p->hold |= ac_patient_slots(p) & ~ac_costly(p);
		p->long_hold = ac_patient_long(p);
	}
}

/* The n-th write of the burst (from 0) is one that Nagle's algorithm keeps. */
static __always_inline void ac_note_kept(struct ac_predictor *p, __u32 n)
{
	p->kept = 1;
	p->long_kept |= n >= AC_EXACT && p->long_hold && n >= p->long_hold;
}

/* A burst that went on in the slots `went_on` has ended. */
static __always_inline void ac_learn_patience(struct ac_predictor *p, __u32 went_on)
{
	if (p->nagle)
		p->went |= went_on;
	if (p->patient && p->proofs && p->hold & went_on) { /* also if it ended with a miss: 2 ms beside 40 */
		p->proofs -= p->nagle < AC_CREDIT_MAX;
		ac_credit(p, AC_SAVED_BUYS);
	}
}

/*
 * An ACK let go what Nagle kept: a stall, or was it quick? Only two stalls in a row tell of a peer that delays ACKs,
 * and one quick ACK takes all credit back: on a pipelined flow a stall is the exception, and holding saves none.
 */
static __always_inline void ac_on_ack(struct ac_predictor *p, __u32 now_us)
{
	bool stall = now_us - p->last_us > AC_STALL_US, again = p->stall_seen;

	if (!p->kept)
		return;
	p->kept = 0;
	p->stall_seen = stall;
	if (stall && !again && !p->nagle)
		return;
	p->proofs = stall ? AC_PROOFS : 0;
	ac_credit(p, stall ? AC_STALL_BUYS : -AC_CREDIT_MAX);
}
