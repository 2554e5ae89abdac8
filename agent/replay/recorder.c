/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "replay/recorder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "lib/json.h"

const char *const recorder_types[] = { "flow_opened", "write", "read", "end", "lost", NULL };

/* A connection's end. A socket need not have a cookie yet. */
struct recorded_flow {
	char key[160];
	uint32_t number;
	uint32_t corked; /* bytes written and not pushed: they leave with the next write, as one */
	UT_hash_handle hh;
};

struct recorder {
	struct trace trace;
	struct recorded_flow *flows;
	struct recorder_counts counts;
	uint64_t nodelay;     /* writes on sockets with TCP_NODELAY */
	uint32_t mss, rtt_us; /* the largest, and the shortest that is known */
};

struct recorder *recorder_new(void)
{
	struct recorder *recorder = calloc(1, sizeof(*recorder));

	if (recorder)
		trace_init(&recorder->trace);
	return recorder;
}

static void forget(struct recorder *recorder, struct recorded_flow *flow)
{
	HASH_DEL(recorder->flows, flow);
	free(flow);
}

void recorder_free(struct recorder *recorder)
{
	struct recorded_flow *flow, *next;

	if (!recorder)
		return;
	HASH_ITER(hh, recorder->flows, flow, next)
		forget(recorder, flow);
	trace_free(&recorder->trace);
	free(recorder);
}

static struct recorded_flow *find(struct recorder *recorder, const json_t *event, bool anew)
{
	struct recorded_flow *flow;
	char key[sizeof(flow->key)];

	snprintf(key, sizeof(key), "%s %lld %s %lld %lld", json_member_text(event, "local"),
		 (long long)json_number(event, "local_port"), json_member_text(event, "remote"),
		 (long long)json_number(event, "remote_port"), (long long)json_number(event, "netns"));
	HASH_FIND_STR(recorder->flows, key, flow);
	if (flow && anew) {
		forget(recorder, flow);
		flow = NULL;
	}
	if (flow || recorder->counts.flows == TRACE_FLOWS_MAX)
		return flow;
	flow = calloc(1, sizeof(*flow));
	if (!flow)
		return NULL;
	strcpy(flow->key, key);
	flow->number = recorder->counts.flows++;
	HASH_ADD_STR(recorder->flows, key, flow);
	return flow;
}

static bool add(struct recorder *recorder, const struct recorded_flow *flow, enum trace_kind kind, uint64_t time_us,
		uint64_t bytes)
{
	struct trace_event event = {
		.time_us = time_us,
		.bytes = bytes < TRACE_BYTES_MAX ? bytes : TRACE_BYTES_MAX,
		.flow = flow->number,
		.kind = kind,
	};

	if (recorder->trace.count == TRACE_EVENTS_MAX || !trace_append(&recorder->trace, &event)) {
		recorder->counts.full = true;
		return false;
	}
	recorder->counts.writes += kind == TRACE_WRITE;
	recorder->counts.reads += kind == TRACE_READ;
	return true;
}

/* What was corked has left by now. */
static bool uncork(struct recorder *recorder, struct recorded_flow *flow, uint64_t time_us)
{
	uint32_t bytes = flow->corked;

	flow->corked = 0;
	return !bytes || add(recorder, flow, TRACE_WRITE, time_us, bytes);
}

static bool wrote(struct recorder *recorder, struct recorded_flow *flow, uint64_t time_us, const json_t *event)
{
	uint32_t mss = json_number(event, "mss"), rtt_us = json_number(event, "rtt_us");

	recorder->nodelay += json_is_true(json_object_get(event, "nodelay"));
	if (mss > recorder->mss)
		recorder->mss = mss;
	if (rtt_us && rtt_us < UINT32_MAX && (!recorder->rtt_us || rtt_us < recorder->rtt_us))
		recorder->rtt_us = rtt_us;
	flow->corked += json_number(event, "bytes");
	/* A bulk of gigabytes that is never pushed is told in parts. */
	if (json_is_true(json_object_get(event, "more")) && flow->corked < TRACE_BYTES_MAX)
		return true;
	return uncork(recorder, flow, time_us);
}

bool recorder_hear(struct recorder *recorder, const json_t *event)
{
	const char *type = json_member_text(event, "type");
	uint64_t time_us = json_number(event, "monotonic_us");
	struct recorded_flow *flow;

	if (!strcmp(type, "lost")) {
		recorder->counts.lost += json_number(event, "count");
		return true;
	}
	flow = find(recorder, event, !strcmp(type, "flow_opened"));
	if (!flow) {
		recorder->counts.left_out++;
		return true;
	}
	if (!strcmp(type, "write"))
		return wrote(recorder, flow, time_us, event);
	if (!uncork(recorder, flow, time_us))
		return false;
	if (!strcmp(type, "flow_opened"))
		return add(recorder, flow, TRACE_OPEN, time_us, 0);
	if (!strcmp(type, "read"))
		return add(recorder, flow, TRACE_READ, time_us, json_number(event, "bytes"));
	return strcmp(type, "end") || add(recorder, flow, TRACE_CLOSE, time_us, 0);
}

const struct trace *recorder_trace(struct recorder *recorder)
{
	struct trace *trace = &recorder->trace;
	struct recorded_flow *flow, *next;

	HASH_ITER(hh, recorder->flows, flow, next)
		uncork(recorder, flow, trace->count ? trace->events[trace->count - 1].time_us : 0);
	trace->nodelay = 2 * recorder->nodelay >= recorder->counts.writes;
	if (recorder->mss)
		trace->mss = recorder->mss < TRACE_MSS_MAX ? recorder->mss : TRACE_MSS_MAX;
	if (recorder->rtt_us)
		trace->rtt_us = recorder->rtt_us < TRACE_RTT_MAX ? recorder->rtt_us : TRACE_RTT_MAX;
	return trace;
}

struct recorder_counts recorder_counts(const struct recorder *recorder)
{
	return recorder->counts;
}
