/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Prints what a client run found, as text or as one JSON object. */
#include "bench/result.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* The smallest time that `per_mille` of the messages did not exceed, in microseconds. */
static double percentile(const struct bench_result *r, unsigned int per_mille)
{
	uint64_t rank = ((uint64_t)r->messages * per_mille + 999) / 1000;

	return (double)r->message_ns[rank ? rank - 1 : 0] / 1000;
}

/* One list of figures for text and JSON. */
struct figure {
	const char *key, *label, *unit;
	double value;
};

#define FIGURES 16

static size_t figures(const struct bench_result *r, struct figure *list)
{
	double n = r->messages;
	size_t count = 0;

#define FIGURE(...) (list[count++] = (struct figure){ __VA_ARGS__ })
	FIGURE("message_us", "time per message", "us", (double)r->elapsed_ns / n / 1000);
	FIGURE("p50_us", "  median", "us", percentile(r, 500));
	FIGURE("p90_us", "  p90", "us", percentile(r, 900));
	FIGURE("p99_us", "  p99", "us", percentile(r, 990));
	FIGURE("p999_us", "  p99.9", "us", percentile(r, 999));
	FIGURE("max_us", "  longest", "us", percentile(r, 1000));
	FIGURE("segments", "packets per message", "", (double)r->segments / n);
	FIGURE("server_segments", "packets per response", "", (double)r->server_segments / n);
	FIGURE("cpu_us", "client CPU per message", "us", (double)(r->user_ns + r->system_ns) / n / 1000);
	FIGURE("user_us", "  user", "us", (double)r->user_ns / n / 1000);
	FIGURE("system_us", "  system", "us", (double)r->system_ns / n / 1000);
	FIGURE("server_cpu_us", "server CPU per message", "us", (double)r->server_cpu_ns / n / 1000);
	FIGURE("retransmits", "retransmitted", "", (double)r->retransmits);
#undef FIGURE
	return count;
}

static void print_json(const struct bench_client_options *o, const struct bench_result *r, const struct figure *list,
		       size_t count)
{
	json_t *object = json_pack("{s:i, s:i, s:i, s:b, s:b}", "messages", (int)r->messages, "buffers",
				   (int)o->buffers, "size", (int)o->size, "no_delay", o->no_delay, "cork", o->cork);

	for (size_t i = 0; i < count; i++)
		json_object_set_new(object, list[i].key, json_real(list[i].value));
	if (o->check)
		json_object_set_new(object, "wrong_bytes", json_integer((json_int_t)r->wrong_bytes));
	json_dumpf(object, stdout, JSON_REAL_PRECISION(6));
	putchar('\n');
	json_decref(object);
}

static void print_text(const struct bench_client_options *o, const struct bench_result *r, const struct figure *list,
		       size_t count)
{
	double ms = (double)r->elapsed_ns / 1e6, bytes = (double)r->messages * o->buffers * o->size;

	if (o->verbose)
		printf("%u packets (%u buffers) sent in %f ms: %f bytes/ms%s\n", r->messages,
		       o->cut == BENCH_CUT_SINGLE ? 1 :
		       o->cut == BENCH_CUT_HEADER ? 2 :
						    o->buffers,
		       ms, bytes / ms,
		       o->cork	   ? " using TCP_CORK" :
		       o->no_delay ? " using TCP_NODELAY" :
				     "");
	for (size_t i = 0; i < count; i++)
		printf("%-24s %12.2f %s\n", list[i].label, list[i].value, list[i].unit);
	if (o->check)
		printf("%-24s %12llu\n", "wrong bytes", (unsigned long long)r->wrong_bytes);
}

void bench_result_print(const struct bench_client_options *options, struct bench_result *result)
{
	struct figure list[FIGURES];
	size_t count;

	qsort(result->message_ns, result->messages, sizeof(*result->message_ns), by_value);
	count = figures(result, list);
	if (options->json)
		print_json(options, result, list, count);
	else
		print_text(options, result, list, count);
}
