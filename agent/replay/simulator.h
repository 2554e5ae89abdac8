/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The simulator: what the gate would have done with a recorded trace, packet by packet. */
#pragma once
#include <autocork/flow.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "lib/fault.h"
#include "replay/trace.h"

struct replay_options {
	struct ac_tuning tuning;
	uint32_t max_hold_us;
	uint32_t packet_worth_us;
	uint32_t mss; /* 0: as the trace says */
	enum { REPLAY_AS_TRACED, REPLAY_NODELAY, REPLAY_NAGLE } nagle;
	bool no_prior;	  /* flows of the trace learn nothing from each other */
	bool no_app_wait; /* a read or poll does not end a wrong hold (no fentry): max_hold does */
};

/* burst_gap 200 us, confidence 0.98, max_hold 2 ms, packet_worth 40 us: what a policy says if it says nothing. */
#define REPLAY_DEFAULTS \
	{ \
		.tuning = { .burst_gap_us = 200, .need_max = 50 }, .max_hold_us = 2000, .packet_worth_us = 40 \
	}

struct replay_delay {
	uint64_t count; /* times something waited */
	uint64_t total_us;
	uint64_t max_us;
};

struct replay_result {
	uint64_t flows, writes, written_bytes, reads;
	uint64_t bursts, held, misses;
	uint64_t packets_without, packets_with;
	uint64_t released[AC_REASON_MAX];
	uint64_t gaining;		   /* flows that were worth being managed when they closed or the trace ended */
	struct replay_delay delay_without; /* of the first waiting byte, by Nagle's algorithm */
	struct replay_delay delay_with;	   /* the same, by holding (and by Nagle, where holding left that) */
};

/* Replays a trace; -1 if there is no memory. */
int replay_run(const struct trace *trace, const struct replay_options *options, struct replay_result *result);

/* The result as one JSON object (a new reference; NULL if there is no memory). */
json_t *replay_json(const struct replay_result *result);

/* `autocork replay PATH`: PATH "-" is stdin. Prints text, or one JSON object; -1 with the fault filled on error. */
int replay_command(const char *path, const struct replay_options *options, bool json, FILE *out, struct fault *fault);
