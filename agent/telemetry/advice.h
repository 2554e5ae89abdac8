/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What a service would save, from what its flows did in shadow, and what a managed one does save. Pure.
 *
 *   packets = writes that were (or would have been) held: each leaves with a later write instead of as a packet of its
 *             own; less those that Nagle's algorithm joined with others anyway
 *   CPU     = packets * ADVICE_CPU_US_PER_PACKET - bursts * ADVICE_CPU_US_PER_BURST - flows that came under management
 *             * ADVICE_CPU_US_PER_FLOW; where a service is not managed yet, each of its new flows would come
 *   stalls  = time that the end of a burst waited for the ACK of its beginning (Nagle's algorithm), where both would
 *             have left together
 *   copies  = bytes that calls of at least AC_LARGE_WRITE copied, and sendfile(), splice() or MSG_ZEROCOPY would hand
 *             over by reference; no policy can do that for the program
 *   misses  = bursts that would have ended while something was held; each delays its data by up to the policy's
 *             max_hold
 *
 * The first two constants are the sending side's only, from unmodified programs on loopback with 2 cores and a 6.18
 * kernel: a request in 15 writes took 57 to 75 µs less CPU as one packet instead of 15; the callbacks of the wrapper
 * took 450 ns per ACK and 300 ns per read. The third is of nginx with a connection per request, by perf: sockops 2.4,
 * changes of state 1.7, putting the flow on its wrapper and the rest 2. A packet on a real network saves the receiver
 * as much again, and the link its headers.
 */
#pragma once
#include <autocork/policy.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define ADVICE_CPU_US_PER_PACKET 4.0
#define ADVICE_CPU_US_PER_BURST 0.8
#define ADVICE_CPU_US_PER_FLOW 6.0
#define ADVICE_BURSTS_MIN 100 /* below, nothing is advised */
#define ADVICE_SAVED_MIN 0.1  /* share of the writes that must be saved */
/* Or so much of each burst's waiting: a thousand times what a held write costs. */
#define ADVICE_STALL_MIN_S 0.001
#define ADVICE_STALLED_BURSTS_MIN 20 /* enough where each burst waits so long, if what is saved is … */
#define ADVICE_STALL_WORTH 4	     /* … so many times what misses may cost */
#define ADVICE_MISS_S 0.002	     /* the default of max_hold */
#define ADVICE_CONFIDENCE_MIN 0.95
/* Bytes copied a second that are worth a word; below, it costs less than 0.1% of a CPU. */
#define ADVICE_COPIES_MIN (1 << 20)
#define ADVICE_ID_LEN 13 /* "ac-" and 9 characters, NUL included */

/* What happened in the time looked at. */
struct advice_counts {
	uint64_t writes, bursts;
	uint64_t inferred_bursts;		 /* of them, those that the telemetry inferred and did not see */
	uint64_t held, misses;			 /* on managed flows */
	uint64_t shadow_held, shadow_misses;	 /* on flows in shadow */
	uint64_t shadow_merged, shadow_stall_us; /* the same: not packets of their own; waits for an ACK,
						  * include/autocork/service.h */
	uint64_t segments, retransmits;
	uint64_t large_copied_bytes;
	uint64_t corked;	  /* writes with MSG_MORE, and calls that set or clear TCP_CORK */
	uint64_t opened, managed; /* flows that were new, and that came under management */
};

enum advice_verdict {
	ADVICE_UNKNOWN,	 /* too little seen */
	ADVICE_LEAVE,	 /* would save too little */
	ADVICE_CORKS,	 /* nothing to save: it joins its writes by itself */
	ADVICE_DOUBTFUL, /* would save, and would miss too often */
	ADVICE_MANAGE,
	ADVICE_MANAGED, /* is managed, and saves already */
};

struct advice {
	char id[ADVICE_ID_LEN]; /* the same for the same service at any time, on any machine */
	enum advice_verdict verdict;
	double packets_per_s; /* that would be saved */
	double saved_share;   /* of the writes */
	double cpu_share;     /* of one CPU that would be saved; below 0: would be spent */
	double stall_s_per_s; /* seconds of waiting a second, of all flows together, that would be saved */
	double stall_s_per_burst;
	double copied_bytes_per_s; /* that could have been spliced */
	double misses_per_s;
	double confidence; /* 1 - upper bound of the share of bursts that miss */
	double one_in;	   /* bursts of which one was seen; 1: all were */
};

/* By the formula above, in microseconds; negative where it costs more than it saves. */
double advice_cpu_us(double packets, double bursts, double flows);
/* `seconds` is the time in which `counts` happened. */
struct advice advice_make(uint16_t port, uint8_t side, const char *program, const struct advice_counts *counts,
			  double seconds);
/* For qsort(): what harms most comes first; waiting before packets. */
int advice_compare(const struct advice *a, const struct advice *b);
/* Copies enough for a word about it, whatever the verdict. */
bool advice_names_copies(const struct advice *advice);
const char *advice_verdict_name(enum advice_verdict verdict);
/* The drop-in that puts the advice into effect; `policy check` accepts it. */
void advice_policy(FILE *out, const struct advice *advice, uint16_t port, uint8_t side, const char *program);
/* The part of it that says which flows are meant: ports, side, programs. */
void advice_conditions(FILE *out, uint16_t port, uint8_t side, const char *program);
/* a - b, for counters that only grow; one that fell (the agent started anew) counts from 0. */
void advice_counts_since(struct advice_counts *counts, const struct advice_counts *before);
