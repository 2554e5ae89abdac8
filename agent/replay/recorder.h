/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Makes a trace of the events flow_opened, write, read, end and lost (docs/control.md). Pure. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "replay/trace.h"

/* The types that it wants to hear of. Ends with NULL. */
extern const char *const recorder_types[];

struct recorder;

struct recorder_counts {
	uint64_t flows, writes, reads;
	uint64_t left_out; /* calls of connections beyond TRACE_FLOWS_MAX */
	uint64_t lost;	   /* events that the agent could not deliver */
	bool full;	   /* TRACE_EVENTS_MAX was reached */
};

/* NULL: no memory. */
struct recorder *recorder_new(void);
void recorder_free(struct recorder *recorder);
/* Takes one event in. False: nothing more has room. */
bool recorder_hear(struct recorder *recorder, const json_t *event);
/* What was heard, with its header; it stays the recorder's. */
const struct trace *recorder_trace(struct recorder *recorder);
struct recorder_counts recorder_counts(const struct recorder *recorder);
