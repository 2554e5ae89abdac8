/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What is wrong with a service, in a sentence: for `autocork try`. Pure. */
#pragma once
#include <stdint.h>
#include <stdio.h>

#include "telemetry/advice.h"

#define FINDING_MESSAGES_MIN 10 /* below, nothing is said */
#define FINDING_PACKETS_MIN 0.3 /* packets a message that must be saved */

/* Worst first. */
enum finding_kind {
	FINDING_WAITS,	 /* its messages wait for acknowledgements (Nagle's algorithm) */
	FINDING_PACKETS, /* it sends more packets than it needs */
	FINDING_MANAGED,
	FINDING_NOTHING, /* nothing to gain */
	FINDING_QUIET,	 /* too little was seen to tell */
};

struct finding {
	enum finding_kind kind;
	double messages_per_s;
	double wait_s;			      /* that a message waits on average */
	double packets_now, packets_possible; /* per message */
};

/* `seconds` is the time in which `counts` happened. */
struct finding finding_make(const struct advice_counts *counts, double seconds);
const char *finding_name(enum finding_kind kind);
/* For qsort(): what harms most comes first. */
int finding_compare(const struct finding *a, const struct finding *b);
/* One sentence and a newline; `program` may be "". */
void finding_print(FILE *out, const struct finding *finding, uint16_t port, uint8_t side, const char *program);
