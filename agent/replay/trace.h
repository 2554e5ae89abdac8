/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Recorded traces: what a program did with its TCP sockets, one line an event.
 *
 *   autocork-trace 1 [nodelay=0|1] [mss=BYTES] [rtt=MICROSECONDS]
 *   # a comment; empty lines count for nothing
 *   TIME EVENT [BYTES [FLOW]]
 *
 * TIME is in microseconds from any start and never goes back. EVENT is o (opened), w (wrote), r (called read), p
 * (called poll, select or epoll_wait with the flow in its set) or c (closed). BYTES is what was written or read (0:
 * nothing was there), 0 if absent. FLOW tells connections of one trace apart, 0 if absent; flows open with their first
 * event.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "lib/fault.h"

#define TRACE_VERSION 1
#define TRACE_MSS_MAX 65535
#define TRACE_RTT_MAX 10000000
#define TRACE_EVENTS_MAX 4000000 /* 96 MB in memory */
#define TRACE_FLOWS_MAX 65536
#define TRACE_BYTES_MAX (1u << 30)
#define TRACE_TIME_MAX (1ull << 52)

enum trace_kind {
	TRACE_OPEN,
	TRACE_WRITE,
	TRACE_READ,
	TRACE_POLL,
	TRACE_CLOSE,
};

struct trace_event {
	uint64_t time_us;
	uint32_t bytes;
	uint32_t flow; /* below flow_count */
	enum trace_kind kind;
};

struct trace {
	struct trace_event *events;
	size_t count, room;
	uint32_t flow_count; /* highest flow + 1 */
	uint32_t mss;	     /* bytes of a full segment; 1448 if the trace does not say */
	uint32_t rtt_us;     /* 100 if the trace does not say */
	bool nodelay;	     /* the program set TCP_NODELAY; true if the trace does not say */
};

/* Reads a whole trace. On error (-1) the fault names file and line, and nothing needs to be freed. */
int trace_read(FILE *in, const char *name, struct trace *trace, struct fault *fault);
/* An empty one, with the header's defaults. */
void trace_init(struct trace *trace);
/* Adds an event in the order of time. False: no memory. */
bool trace_append(struct trace *trace, const struct trace_event *event);
/* As text that trace_read() takes; each line of the note becomes a comment. Errors are in ferror(). */
void trace_write(const struct trace *trace, const char *note, FILE *out);
void trace_free(struct trace *trace);
