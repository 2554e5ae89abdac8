/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* A trial's arithmetic: is it to be ended early, and what did it show? Pure. */
#pragma once
#include <autocork/service.h>
#include <stdbool.h>
#include <stdint.h>

#define TRIAL_WRITES_MIN 100 /* below, shares say nothing */
#define TRIAL_SEGMENTS_MIN 200
#define TRIAL_MISS_SHARE_MAX 0.05    /* of the bursts */
#define TRIAL_RETRANSMIT_FACTOR 2.0  /* worse than before by so much, and ... */
#define TRIAL_GAIN_PACKETS 0.05	     /* fewer for a message, at least */
#define TRIAL_GAIN_US 500	     /* less waited for a message, at least */
#define TRIAL_RETRANSMIT_SLACK 0.002 /* ... by this share of the segments */

/* Counts of one phase. */
struct trial_phase {
	double seconds;
	struct ac_service_stats stats;		  /* of the service on trial, open flows included */
	uint64_t host_segments, host_retransmits; /* of the agent's network namespace, flows that live on included */
	double host_cpu;			  /* seconds that the CPUs of the machine were busy */
};

enum trial_verdict { TRIAL_GOOD, TRIAL_RETRANSMITS, TRIAL_DELAY, TRIAL_MISSES, TRIAL_IDLE };

/* Is `trial`, so far, worse than `before`? The p99 of the added delay may not exceed max_delay_us. */
enum trial_verdict trial_judge(const struct trial_phase *before, const struct trial_phase *trial, double max_delay_us);
/* The same at its end: what was too little to judge is no good trial, but an idle one. */
enum trial_verdict trial_conclude(const struct trial_phase *before, const struct trial_phase *trial,
				  double max_delay_us);
const char *trial_verdict_name(enum trial_verdict verdict);
/* Share of the writes that was, or in shadow would have been, saved; 0 without writes. */
double trial_saved_share(const struct trial_phase *phase);
/* Data segments per burst: what the phase had, and what `before` lets expect of the trial; 0 without bursts. */
double trial_segments_per_burst(const struct trial_phase *phase);
double trial_segments_predicted(const struct trial_phase *before);
/* Would it gain to keep the policy: fewer packets, or less waiting for an ACK, for a message? */
bool trial_gains(const struct trial_phase *before, const struct trial_phase *trial);
/* Upper bound of the smallest bucket that 99% of the holds are in or below, in µs; 0 without holds. */
double trial_hold_p99(const struct trial_phase *phase);
/* a - b, field by field. */
void trial_since(struct trial_phase *a, const struct trial_phase *b);
