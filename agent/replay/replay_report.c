/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* `autocork replay`: reads a trace, runs it through the simulator, prints what came of it. */
#include <errno.h>
#include <string.h>

#include "lib/names.h"
#include "replay/simulator.h"

static double ratio(uint64_t part, uint64_t whole)
{
	return whole ? (double)part / whole : 0;
}

static json_t *delay_json(const struct replay_delay *delay)
{
	return json_pack("{s:I, s:I, s:I, s:f}", "count", (json_int_t)delay->count, "total_us",
			 (json_int_t)delay->total_us, "max_us", (json_int_t)delay->max_us, "mean_us",
			 ratio(delay->total_us, delay->count));
}

json_t *replay_json(const struct replay_result *result)
{
	json_t *released = json_object();
	json_t *object;

	for (int reason = 0; reason < AC_REASON_MAX; reason++)
		json_object_set_new(released, reason_names[reason], json_integer(result->released[reason]));
	/* clang-format off */
	object = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:I, s:I, s:I, s:o, s:o, s:o}",
			   "flows", (json_int_t)result->flows,
			   "flows_gaining", (json_int_t)result->gaining,
			   "writes", (json_int_t)result->writes,
			   "written_bytes", (json_int_t)result->written_bytes,
			   "reads", (json_int_t)result->reads,
			   "bursts", (json_int_t)result->bursts,
			   "misses", (json_int_t)result->misses,
			   "miss_ratio", ratio(result->misses, result->bursts),
			   "held", (json_int_t)result->held,
			   "packets_without", (json_int_t)result->packets_without,
			   "packets_with", (json_int_t)result->packets_with,
			   "released", released,
			   "delay_without", delay_json(&result->delay_without),
			   "delay_with", delay_json(&result->delay_with));
	/* clang-format on */
	return object;
}

static void delay_text(const char *title, const struct replay_delay *delay, FILE *out)
{
	fprintf(out, "%-16s %llu times, mean %.1f us, max %llu us\n", title, (unsigned long long)delay->count,
		ratio(delay->total_us, delay->count), (unsigned long long)delay->max_us);
}

static void replay_text(const struct replay_result *result, FILE *out)
{
	const struct {
		const char *title;
		uint64_t value;
	} rows[] = {
		{ "flows", result->flows },
		{ "flows gaining", result->gaining },
		{ "writes", result->writes },
		{ "reads", result->reads },
		{ "messages", result->bursts },
		{ "held", result->held },
		{ "packets without", result->packets_without },
		{ "packets with", result->packets_with },
	};

	for (size_t i = 0; i < AC_ARRAY_SIZE(rows); i++)
		fprintf(out, "%-16s %llu\n", rows[i].title, (unsigned long long)rows[i].value);
	fprintf(out, "%-16s %llu (%.3f%% of messages)\n", "held too long", (unsigned long long)result->misses,
		100 * ratio(result->misses, result->bursts));
	for (int reason = 0; reason < AC_REASON_MAX; reason++)
		if (result->released[reason])
			fprintf(out, "released %-8s %llu\n", reason_names[reason],
				(unsigned long long)result->released[reason]);
	delay_text("delay without", &result->delay_without, out);
	delay_text("delay with", &result->delay_with, out);
}

static int print_result(const struct replay_result *result, bool json, FILE *out, struct fault *fault)
{
	json_t *object;
	int err = 0;

	if (json) {
		object = replay_json(result);
		err = !object || json_dumpf(object, out, JSON_COMPACT) || fputc('\n', out) == EOF;
		json_decref(object);
	} else {
		replay_text(result, out);
	}
	if (err || fflush(out))
		return fault_set(fault, EXIT_FAILED, "replay: cannot print the result: %s", strerror(errno));
	return 0;
}

int replay_command(const char *path, const struct replay_options *options, bool json, FILE *out, struct fault *fault)
{
	bool from_stdin = !strcmp(path, "-");
	FILE *in = from_stdin ? stdin : fopen(path, "re");
	struct replay_result result;
	struct trace trace;
	int err;

	if (!in)
		return fault_set(fault, EXIT_FAILED, "%s: cannot open: %s: give the path of a trace, or - for stdin",
				 path, strerror(errno));
	err = trace_read(in, from_stdin ? "stdin" : path, &trace, fault);
	if (!from_stdin)
		fclose(in);
	if (err)
		return -1;
	err = replay_run(&trace, options, &result);
	trace_free(&trace);
	if (err)
		return fault_set(fault, EXIT_FAILED, "%s: out of memory: use a shorter trace", path);
	return print_result(&result, json, out, fault);
}
