/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The reader of recorded traces: what it takes, and what it says to what it does not take. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "replay/trace.h"

static int read_text(const char *text, size_t length, struct trace *trace, struct fault *fault)
{
	FILE *in = fmemopen((void *)text, length, "r");
	int err;

	assert_non_null(in);
	err = trace_read(in, "t", trace, fault);
	fclose(in);
	return err;
}

static void takes_every_kind_of_line(void **state)
{
	static const char text[] = "# before the header\n"
				   "\n"
				   "autocork-trace 1 nodelay=0 mss=536 rtt=20000 # and why\n"
				   "0 o\n"
				   "5\tw 20\r\n"
				   "  5 r 100 3  # an answer\n"
				   "7 p 0 3\n"
				   "4503599627370496 c 0 65535";
	struct fault fault = {};
	struct trace trace;

	assert_int_equal(read_text(text, strlen(text), &trace, &fault), 0);
	assert_int_equal(trace.nodelay, false);
	assert_int_equal(trace.mss, 536);
	assert_int_equal(trace.rtt_us, 20000);
	assert_int_equal(trace.count, 5);
	assert_int_equal(trace.flow_count, 65536);
	assert_int_equal(trace.events[0].kind, TRACE_OPEN);
	assert_int_equal(trace.events[1].kind, TRACE_WRITE);
	assert_int_equal(trace.events[1].bytes, 20);
	assert_int_equal(trace.events[1].flow, 0);
	assert_int_equal(trace.events[2].kind, TRACE_READ);
	assert_int_equal(trace.events[2].time_us, 5);
	assert_int_equal(trace.events[2].bytes, 100);
	assert_int_equal(trace.events[2].flow, 3);
	assert_int_equal(trace.events[3].kind, TRACE_POLL);
	assert_int_equal(trace.events[4].kind, TRACE_CLOSE);
	assert_true(trace.events[4].time_us == TRACE_TIME_MAX);
	trace_free(&trace);
}

static void says_nothing_of_options_means_the_usual(void **state)
{
	static const char text[] = "autocork-trace 1\n";
	struct fault fault = {};
	struct trace trace;

	assert_int_equal(read_text(text, strlen(text), &trace, &fault), 0);
	assert_true(trace.nodelay);
	assert_int_equal(trace.mss, 1448);
	assert_int_equal(trace.count, 0);
	assert_int_equal(trace.flow_count, 0);
	trace_free(&trace);
}

static void refuses_with_file_line_and_reason(void **state)
{
#define HEAD "autocork-trace 1\n"
	static const struct {
		const char *text, *says;
	} cases[] = {
		{ "\n", "t:2: empty" },
		{ "tcpdump 1\n", "t:1: not a trace" },
		{ "autocork-trace\n", "t:1: a version must follow" },
		{ "autocork-trace one\n", "t:1: a version must follow" },
		{ "autocork-trace 2\n", "t:1: trace version 2: this program reads version 1" },
		{ "autocork-trace 1 nodelay\n", "t:1: 'nodelay': a header option is NAME=VALUE" },
		{ "autocork-trace 1 nodelay=2\n", "t:1: nodelay=2: 0 or 1" },
		{ "autocork-trace 1 mss=0\n", "t:1: mss=0: 1 to 65535" },
		{ "autocork-trace 1 mss=65536\n", "t:1: mss=65536: 1 to 65535" },
		{ "autocork-trace 1 rtt=-1\n", "t:1: rtt=-1: 0 to" },
		{ "autocork-trace 1 cwnd=3\n", "t:1: 'cwnd': no such header option" },
		{ HEAD "5\n", "t:2: '5': a line is TIME EVENT" },
		{ HEAD "5 w 1 0 9\n", "t:2: '9': a line is TIME EVENT" },
		{ HEAD "x w 1\n", "t:2: 'x': the time is a whole number" },
		{ HEAD "-5 w 1\n", "t:2: '-5': the time is a whole number" },
		{ HEAD "+5 w 1\n", "t:2: '+5': the time is a whole number" },
		{ HEAD "5.5 w 1\n", "t:2: '5.5': the time is a whole number" },
		{ HEAD "4503599627370497 w 1\n", "the time is a whole number" },
		{ HEAD "99999999999999999999999 w 1\n", "the time is a whole number" },
		{ HEAD "5 w 1\n# fine\n4 w 1\n", "t:4: '4': the time goes back" },
		{ HEAD "5 x 1\n", "t:2: 'x': the event is one of" },
		{ HEAD "5 write 1\n", "t:2: 'write': the event is one of" },
		{ HEAD "5 w 1073741825\n", "t:2: '1073741825': bytes are" },
		{ HEAD "5 w 1e3\n", "t:2: '1e3': bytes are" },
		{ HEAD "5 w 1 65536\n", "t:2: '65536': flows are" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fault fault = {};
		struct trace trace;

		assert_int_equal(read_text(cases[i].text, strlen(cases[i].text), &trace, &fault), -1);
		if (!strstr(fault.text, cases[i].says))
			fail_msg("case %zu: \"%s\" instead of \"%s\"", i, fault.text, cases[i].says);
		assert_int_equal(fault.exit_code, EXIT_CONFIG);
		assert_null(trace.events);
	}
}

static void refuses_binary(void **state)
{
	static const char text[] = HEAD "5 w\0 1\n";
	struct fault fault = {};
	struct trace trace;

	assert_int_equal(read_text(text, sizeof(text) - 1, &trace, &fault), -1);
	assert_non_null(strstr(fault.text, "t:2: a NUL byte"));
}

static void says_that_reading_failed(void **state)
{
	FILE *in = fopen("/", "r"); /* opens, and every read is EISDIR */
	struct fault fault = {};
	struct trace trace;

	assert_non_null(in);
	assert_int_equal(trace_read(in, "/", &trace, &fault), -1);
	assert_non_null(strstr(fault.text, "/: cannot read: Is a directory"));
	assert_int_equal(fault.exit_code, EXIT_FAILED);
	fclose(in);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_every_kind_of_line),
		cmocka_unit_test(says_nothing_of_options_means_the_usual),
		cmocka_unit_test(refuses_with_file_line_and_reason),
		cmocka_unit_test(refuses_binary),
		cmocka_unit_test(says_that_reading_failed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
