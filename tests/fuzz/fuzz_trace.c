/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* libFuzzer: any bytes as a trace; what is taken is replayed, and the figures must fit each other. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "replay/simulator.h"

static void check(const struct trace *trace, const struct replay_result *result)
{
	uint64_t flows = 0;

	if (result->writes > trace->count || result->reads > trace->count || result->held > result->writes ||
	    result->bursts > result->writes || result->misses > result->writes || result->gaining > result->flows)
		abort();
	/* What is written is sent, in packets of at most a segment, however it was held. */
	if (result->packets_without * trace->mss < result->written_bytes ||
	    result->packets_with * trace->mss < result->written_bytes)
		abort();
	for (size_t e = 0; e < trace->count; e++) {
		if (trace->events[e].flow >= trace->flow_count || trace->events[e].kind > TRACE_CLOSE)
			abort();
		if (e && trace->events[e].time_us < trace->events[e - 1].time_us)
			abort();
		flows += trace->events[e].kind != TRACE_CLOSE;
	}
	if (result->flows > flows)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct replay_options options = REPLAY_DEFAULTS;
	struct replay_result result;
	struct fault fault = {};
	struct trace trace;
	json_t *object;
	FILE *in;

	if (!size)
		return 0;
	options.no_app_wait = data[size - 1] & 1;
	options.no_prior = data[size - 1] & 2;
	in = fmemopen((void *)data, size, "r");
	if (!in)
		return 0;
	if (trace_read(in, "fuzz", &trace, &fault)) {
		if (!fault.text[0] || trace.events)
			abort();
	} else {
		if (!replay_run(&trace, &options, &result)) {
			check(&trace, &result);
			object = replay_json(&result);
			if (!object)
				abort();
			json_decref(object);
		}
		trace_free(&trace);
	}
	fclose(in);
	return 0;
}
