/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The simulator: every trace of tests/unit/traces/ with its expected outcome, and the rules of the simulation
 * themselves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <glob.h>

#include "replay/simulator.h"

#define FOLDER "tests/unit/traces/"

/* Packets, with the FIN where it is one of its own, and misses are what the predictor reached when the line was
 * written; 2% more packets are let pass. */
static const struct fixture {
	const char *name;
	unsigned int bursts, packets_without, packets_with, misses;
} fixtures[] = {
	/* clang-format off */
	{ "alternating_2_5",                 300,  1050,   456,  0 },
	{ "around_100",                       60,  6006,  2187,  3 },
	{ "bulk",                             29,  1821,  1821,  0 },
	{ "chunked",                         300,  2051,  1540,  2 },
	{ "constant_100",                     40,  4000,   238,  0 },
	{ "constant_100_ethernet",            40,  4000,   542,  0 },
	{ "constant_15",                     150,  2250,   178,  0 },
	{ "constant_15_nagle",               100,   200,   102,  0 },
	{ "dns_in_flight",                   183,  1327,  1326,  2 },
	{ "fastcgi_new",                      60,   180,   122,  0 },
	{ "fastcgi_random",                   60,   180,   128, 54 },
	{ "feed_100",                         13,  1000,  1000,  0 },
	{ "feed_150",                          8,  1000,  1000,  0 },
	{ "feed_20",                           5,  1000,   879,  0 },
	{ "feed_50",                           7,  1000,  1000,  0 },
	{ "feed_poisson",                     18,  1000,   835,  0 },
	{ "growing",                         100,  2550,  1539,  3 },
	{ "header_body",                     300,   600,   302,  0 },
	{ "header_body_304",                 600,  1172,   602,  0 },
	{ "header_body_head",                600,  1171,  1119,  3 },
	{ "header_body_rare",               1200,  2397,  1557,  3 },
	{ "header_bulk",                     200,  1800,  1602,  0 },
	{ "http2_threads",                    60,   600,   599,  1 },
	{ "late_bodies",                     400,   800,   695,  2 },
	{ "late_writes",                     300,  3000,   345,  0 },
	{ "mixed_2_5",                       400,  1424,   614,  0 },
	{ "mixed_2_5_sized",                 300,  1026,   474,  1 },
	{ "mqtt_reconnects",                 246,   378,   253,  5 },
	{ "node_chunks",                     300,  1200,  1200,  0 },
	{ "one_way",                         299,  2400,   321,  0 },
	{ "one_way_random",                  299,  2450,  1637,  2 },
	{ "phases",                          400,  4400,   478,  2 },
	{ "pipelining_client",               120,  2880,   166,  0 },
	{ "pipelining_server",               301,   602,   303,  0 },
	{ "random_10",                       166,  1615,  1609,  2 },
	{ "random_geometric",                 60,  6476,  5846,  3 },
	{ "reader_thread",                   339,  3000,  1747,  3 },
	{ "reader_thread_busy",              324,  3000,   912,  2 },
	{ "recorded_gunicorn",               374,  1124,   396,  0 },
	{ "recorded_gunicorn_chunked",       250,  1252,   267,  0 },
	{ "recorded_http_client_post",       300,   601,   327,  0 },
	{ "recorded_http_server",            150,   301,   301,  0 },
	{ "recorded_http_server_keepalive",   48,    52,    52,  0 },
	{ "recorded_nginx_close",            299,   600,   307,  0 },
	{ "recorded_nginx_conditional",      386,   729,   389,  0 },
	{ "recorded_nginx_keepalive",        380,   762,   398,  0 },
	{ "recorded_redis_pipeline",         501,   503,   503,  0 },
	{ "recorded_redis_single",           497,   499,   499,  0 },
	{ "short_connections",               400,  1200,   408,  0 },
	{ "short_keepalive",                 400,  1280,   496,  0 },
	{ "short_mixed",                     500,  1062,  1037,  3 },
	{ "short_then_other",                300,   750,   466,  1 },
	{ "shrinking",                       100,  2550,  2446,  3 },
	{ "single",                          300,   300,   300,  0 },
	{ "slow_writes",                     882,  1500,  1500,  0 },
	/* clang-format on */
};

static void read_trace(FILE *in, const char *name, struct trace *trace)
{
	struct fault fault = {};

	assert_non_null(in);
	if (trace_read(in, name, trace, &fault))
		fail_msg("%s", fault.text);
	fclose(in);
}

static struct replay_result replay_text_of(const char *text, struct replay_options options)
{
	struct replay_result result;
	struct trace trace;

	read_trace(fmemopen((void *)text, strlen(text), "r"), "text", &trace);
	assert_int_equal(replay_run(&trace, &options, &result), 0);
	trace_free(&trace);
	return result;
}

static void fixtures_come_out_as_expected(void **state)
{
	const struct replay_options options = REPLAY_DEFAULTS;
	int failures = 0;

	for (size_t i = 0; i < AC_ARRAY_SIZE(fixtures); i++) {
		const struct fixture *fixture = &fixtures[i];
		struct replay_result result;
		struct trace trace;
		char path[128];

		snprintf(path, sizeof(path), FOLDER "%s.trace", fixture->name);
		read_trace(fopen(path, "re"), path, &trace);
		assert_int_equal(replay_run(&trace, &options, &result), 0);
		trace_free(&trace);
		if (result.bursts == fixture->bursts && result.packets_without == fixture->packets_without &&
		    result.packets_with <= fixture->packets_with * 51 / 50 && result.misses <= fixture->misses)
			continue;
		failures++;
		print_message("# %s: %ju bursts, %ju packets without, %ju with, %ju misses; expected %u, %u, %u, %u\n",
			      fixture->name, (uintmax_t)result.bursts, (uintmax_t)result.packets_without,
			      (uintmax_t)result.packets_with, (uintmax_t)result.misses, fixture->bursts,
			      fixture->packets_without, fixture->packets_with, fixture->misses);
	}
	assert_int_equal(failures, 0);
}

/* Without TCP_NODELAY a message that is not held waits 40 ms for the ACK: at most 3 on any connection. */
static void few_messages_stall(void **state)
{
	static const struct {
		const char *name;
		unsigned int stalls; /* in all connections together */
	} services[] = { { "mqtt_reconnects", 3 }, { "fastcgi_new", 3 }, { "fastcgi_random", 9 } };
	const struct replay_options options = REPLAY_DEFAULTS;
	struct replay_result result;
	struct trace trace;
	char path[128];

	for (size_t i = 0; i < AC_ARRAY_SIZE(services); i++) {
		snprintf(path, sizeof(path), FOLDER "%s.trace", services[i].name);
		read_trace(fopen(path, "re"), path, &trace);
		assert_int_equal(replay_run(&trace, &options, &result), 0);
		trace_free(&trace);
		assert_in_range(result.delay_without.total_us, 60 * 40000, UINT32_MAX);
		assert_in_range(result.delay_with.total_us, 2 * 40000, services[i].stalls * 40000);
	}
}

static void every_trace_is_a_fixture(void **state)
{
	glob_t found;

	assert_int_equal(glob(FOLDER "*.trace", 0, NULL, &found), 0);
	for (size_t i = 0; i < found.gl_pathc; i++) {
		const char *name = found.gl_pathv[i] + strlen(FOLDER);
		bool listed = false;

		for (size_t f = 0; f < AC_ARRAY_SIZE(fixtures); f++)
			listed |= !strncmp(name, fixtures[f].name, strlen(name) - strlen(".trace")) &&
				  strlen(fixtures[f].name) == strlen(name) - strlen(".trace");
		if (!listed)
			fail_msg("%s has no expected outcome", name);
	}
	assert_int_equal(found.gl_pathc, AC_ARRAY_SIZE(fixtures));
	globfree(&found);
}

/* Three equal messages of three writes each: two to learn from, one held; `end` is what follows. */
#define LEARNED(end) \
	"autocork-trace 1 nodelay=1 mss=1024\n" \
	"100 w 10\n 110 w 10\n 120 w 10\n 130 r 50\n 200 w 10\n 210 w 10\n 220 w 10\n 230 r 50\n" end

static void holds_the_third_of_equal_messages(void **state)
{
	struct replay_result result = replay_text_of(LEARNED("300 w 10\n 310 w 10\n 325 w 10\n 330 r 50\n"),
						     (struct replay_options)REPLAY_DEFAULTS);

	assert_int_equal(result.flows, 1);
	assert_int_equal(result.writes, 9);
	assert_int_equal(result.written_bytes, 90);
	assert_int_equal(result.reads, 3);
	assert_int_equal(result.bursts, 3);
	assert_int_equal(result.held, 2);
	assert_int_equal(result.misses, 0);
	assert_int_equal(result.packets_without, 9);
	assert_int_equal(result.packets_with, 7);
	assert_int_equal(result.released[AC_REASON_COMPLETE], 1);
	assert_int_equal(result.delay_without.count, 0);
	assert_int_equal(result.delay_with.count, 1);
	assert_int_equal(result.delay_with.max_us, 25);
}

static void a_read_releases_a_wrong_hold_at_once(void **state)
{
	struct replay_result result =
		replay_text_of(LEARNED("300 w 10\n 340 r\n 5000 r 50\n"), (struct replay_options)REPLAY_DEFAULTS);

	assert_int_equal(result.misses, 1);
	assert_int_equal(result.released[AC_REASON_APP_WAIT], 1);
	assert_int_equal(result.delay_with.max_us, 40);
	assert_int_equal(result.packets_with, 7);
}

static void without_fentry_max_hold_releases_it(void **state)
{
	struct replay_options options = REPLAY_DEFAULTS;
	struct replay_result result;

	options.no_app_wait = true;
	options.max_hold_us = 700;
	result = replay_text_of(LEARNED("300 w 10\n 340 r\n 5000 r 50\n"), options);
	assert_int_equal(result.misses, 1);
	assert_int_equal(result.released[AC_REASON_DEADLINE], 1);
	assert_int_equal(result.delay_with.max_us, 700);
}

static void a_late_write_in_time_is_no_miss(void **state)
{
	struct replay_result result = replay_text_of(LEARNED("300 w 10\n 1300 w 10\n 1310 w 10\n 1330 r 50\n"),
						     (struct replay_options)REPLAY_DEFAULTS);

	assert_int_equal(result.misses, 0);
	assert_int_equal(result.bursts, 3);
	assert_int_equal(result.packets_with,
			 8); /* the first byte has waited long enough: the third write is not waited for */
	assert_int_equal(result.delay_with.max_us, 1000);
}

static void close_sends_what_is_held_without_a_miss(void **state)
{
	struct replay_result result =
		replay_text_of(LEARNED("300 w 10\n 310 c\n"), (struct replay_options)REPLAY_DEFAULTS);

	assert_int_equal(result.misses, 0);
	assert_int_equal(result.released[AC_REASON_CLOSING], 1);
	assert_int_equal(result.packets_with, 7);
	assert_int_equal(result.delay_with.max_us, 10);
}

static void the_end_of_the_trace_is_no_close(void **state)
{
	struct replay_result result = replay_text_of(LEARNED("300 w 10\n"), (struct replay_options)REPLAY_DEFAULTS);

	assert_int_equal(result.misses, 1);
	assert_int_equal(result.delay_with.max_us, 2000);
}

static void a_full_segment_is_not_held(void **state)
{
	struct replay_result result = replay_text_of(LEARNED("300 w 10\n 310 w 1020\n 320 w 10\n 330 r 50\n"),
						     (struct replay_options)REPLAY_DEFAULTS);

	assert_int_equal(result.released[AC_REASON_FULL], 1);
	assert_int_equal(result.held, 1);
	assert_int_equal(result.misses, 0);
	assert_int_equal(result.packets_with, 6 + 2 + 1);
	assert_int_equal(result.packets_without, 6 + 3);
}

static void nagle_waits_for_the_acknowledgement(void **state)
{
	static const char text[] = "autocork-trace 1 nodelay=0 mss=1000 rtt=100\n"
				   "1000 w 10\n 1010 w 10\n 1020 w 10\n 60000 r 50\n";
	struct replay_options options = REPLAY_DEFAULTS;
	struct replay_result result = replay_text_of(text, options);

	assert_int_equal(result.packets_without, 2);
	assert_int_equal(result.delay_without.max_us, 40000 + 100 - 10);
	assert_int_equal(result.packets_with, 2);
	options.nagle = REPLAY_NODELAY;
	result = replay_text_of(text, options);
	assert_int_equal(result.packets_without, 3);
	assert_int_equal(result.delay_without.count, 0);
}

static void nagle_lets_full_segments_go(void **state)
{
	static const char tail[] = "autocork-trace 1 nodelay=0 mss=1000 rtt=100\n"
				   "1000 w 10\n 1010 w 600\n 1020 w 600\n 60000 r 50\n";
	static const char pair[] = "autocork-trace 1 nodelay=0 mss=1000 rtt=100\n"
				   "1000 w 2000\n 1010 w 10\n 60000 r 50\n";
	struct replay_result result = replay_text_of(tail, (struct replay_options)REPLAY_DEFAULTS);

	assert_int_equal(result.packets_without, 3);
	assert_int_equal(result.delay_without.count, 2);
	assert_int_equal(result.delay_without.total_us, 10 + 40000 + 100);
	result = replay_text_of(pair, (struct replay_options)REPLAY_DEFAULTS);
	assert_int_equal(result.packets_without, 3);
	assert_int_equal(result.delay_without.max_us, 100 - 10); /* every second full segment is acknowledged at once */
}

static void a_flow_closes_once(void **state)
{
	struct replay_result result = replay_text_of("autocork-trace 1\n0 o\n1 w 5\n2 c\n3 c\n4 o\n5 o\n6 c\n",
						     (struct replay_options)REPLAY_DEFAULTS);

	assert_int_equal(result.flows, 3);
	assert_int_equal(result.bursts, 1);
}

static void flows_learn_from_each_other_unless_told_not_to(void **state)
{
	char text[4096];
	size_t length = snprintf(text, sizeof(text), "autocork-trace 1\n");
	struct replay_options options = REPLAY_DEFAULTS;
	struct replay_result result;

	for (int i = 0; i < 20; i++)
		length += snprintf(text + length, sizeof(text) - length, "%d o\n%d r 10\n%d w 200\n%d w 300\n%d c\n",
				   i * 1000, i * 1000 + 10, i * 1000 + 20, i * 1000 + 30, i * 1000 + 40);
	result = replay_text_of(text, options);
	assert_int_equal(result.flows, 20);
	assert_int_equal(result.held, 32); /* the header for the body, and the body for the FIN */
	assert_int_equal(result.packets_with, 4 * 3 + 16);
	assert_int_equal(result.misses, 0);
	options.no_prior = true;
	result = replay_text_of(text, options);
	assert_int_equal(result.held, 0);
}

static void prints_json_that_says_the_same(void **state)
{
	struct replay_result result = replay_text_of(LEARNED("300 w 10\n 310 w 10\n 325 w 10\n 330 r 50\n"),
						     (struct replay_options)REPLAY_DEFAULTS);
	json_t *object = replay_json(&result);

	assert_non_null(object);
	assert_int_equal(json_integer_value(json_object_get(object, "packets_without")), 9);
	assert_int_equal(json_integer_value(json_object_get(object, "packets_with")), 7);
	assert_int_equal(json_integer_value(json_object_get(object, "misses")), 0);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(object, "released"), "complete")), 1);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(object, "delay_with"), "max_us")), 25);
	json_decref(object);
}

static void the_command_prints_or_says_what_is_wrong(void **state)
{
	const struct replay_options options = REPLAY_DEFAULTS;
	struct fault fault = {};
	char *text = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&text, &length);
	json_t *object;

	assert_int_equal(replay_command(FOLDER "header_body.trace", &options, true, out, &fault), 0);
	fclose(out);
	object = json_loads(text, 0, NULL);
	assert_non_null(object);
	assert_int_equal(json_integer_value(json_object_get(object, "bursts")), 300);
	json_decref(object);
	free(text);

	out = open_memstream(&text, &length);
	assert_int_equal(replay_command(FOLDER "header_body.trace", &options, false, out, &fault), 0);
	fclose(out);
	assert_non_null(strstr(text, "packets without  600\n"));
	free(text);

	assert_int_equal(replay_command("/nonexistent", &options, false, stdout, &fault), -1);
	assert_non_null(strstr(fault.text, "/nonexistent: cannot open: No such file"));
	assert_int_equal(fault.exit_code, EXIT_FAILED);
	assert_int_equal(replay_command("/dev/null", &options, false, stdout, &fault), -1);
	assert_int_equal(fault.exit_code, EXIT_CONFIG);

	out = fopen("/dev/full", "we");
	assert_non_null(out);
	assert_int_equal(replay_command(FOLDER "header_body.trace", &options, false, out, &fault), -1);
	assert_non_null(strstr(fault.text, "No space left"));
	fclose(out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fixtures_come_out_as_expected),
		cmocka_unit_test(few_messages_stall),
		cmocka_unit_test(every_trace_is_a_fixture),
		cmocka_unit_test(holds_the_third_of_equal_messages),
		cmocka_unit_test(a_read_releases_a_wrong_hold_at_once),
		cmocka_unit_test(without_fentry_max_hold_releases_it),
		cmocka_unit_test(a_late_write_in_time_is_no_miss),
		cmocka_unit_test(close_sends_what_is_held_without_a_miss),
		cmocka_unit_test(the_end_of_the_trace_is_no_close),
		cmocka_unit_test(a_full_segment_is_not_held),
		cmocka_unit_test(nagle_waits_for_the_acknowledgement),
		cmocka_unit_test(nagle_lets_full_segments_go),
		cmocka_unit_test(a_flow_closes_once),
		cmocka_unit_test(flows_learn_from_each_other_unless_told_not_to),
		cmocka_unit_test(prints_json_that_says_the_same),
		cmocka_unit_test(the_command_prints_or_says_what_is_wrong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
