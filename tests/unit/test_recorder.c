/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The recorder: which trace comes of which events. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "replay/recorder.h"

static bool hear(struct recorder *recorder, const char *type, int time_us, int remote_port, int bytes, bool more,
		 bool nodelay)
{
	json_t *event = json_pack("{ss si ss si ss si si si si si sb sb}", "type", type, "monotonic_us", time_us,
				  "local", "10.0.0.1", "local_port", 80, "remote", "10.0.0.2", "remote_port",
				  remote_port, "netns", 1, "bytes", bytes, "mss", 1000 + bytes % 2, "rtt_us",
				  bytes == 7 ? 40 : 90, "nodelay", nodelay, "more", more);
	bool room = recorder_hear(recorder, event);

	json_decref(event);
	return room;
}

/* The text that comes of it, which must be a trace. */
static char *text_of(struct recorder *recorder, const char *note)
{
	char *text = NULL;
	size_t size;
	FILE *file = open_memstream(&text, &size);
	struct fault fault = { 0 };
	struct trace trace;

	trace_write(recorder_trace(recorder), note, file);
	fclose(file);
	file = fmemopen(text, size, "r");
	if (trace_read(file, "recorded", &trace, &fault))
		fail_msg("%s", fault.text);
	fclose(file);
	trace_free(&trace);
	return text;
}

static void becomes(struct recorder *recorder, const char *expected)
{
	char *text = text_of(recorder, "");

	assert_string_equal(text, expected);
	free(text);
	recorder_free(recorder);
}

static void calls_become_lines(void **state)
{
	struct recorder *recorder = recorder_new();
	char *text;

	assert_true(hear(recorder, "flow_opened", 1000, 5, 0, false, true));
	hear(recorder, "read", 1010, 5, 120, false, true);
	hear(recorder, "write", 1020, 5, 238, false, true);
	/* another processor's, told late */
	hear(recorder, "write", 1019, 6, 7, false, true);
	hear(recorder, "read", 1030, 5, 0, false, true);
	hear(recorder, "end", 1040, 5, 0, false, true);
	text = text_of(recorder, "a note\nof two lines\n");
	assert_non_null(strstr(text, "\n# a note\n# of two lines\n0 o\n"));
	free(text);
	becomes(recorder, "autocork-trace 1 nodelay=1 mss=1001 rtt=40\n"
			  "0 o\n10 r 120\n19 w 7 1\n20 w 238\n30 r\n40 c\n");
}

static void what_is_corked_is_one_write(void **state)
{
	struct recorder *recorder = recorder_new();

	hear(recorder, "write", 0, 5, 80, true, false);
	hear(recorder, "write", 10, 5, 500, false, false);
	hear(recorder, "write", 20, 5, 30, true, false);
	hear(recorder, "read", 30, 5, 1, false, false);
	hear(recorder, "write", 40, 5, 8, true, false);
	becomes(recorder, "autocork-trace 1 nodelay=0 mss=1000 rtt=90\n0 w 580\n20 w 30\n20 r 1\n20 w 8\n");
}

static void a_port_used_again_is_another_flow(void **state)
{
	struct recorder *recorder = recorder_new();

	hear(recorder, "write", 0, 5, 10, false, true);
	hear(recorder, "end", 1, 5, 0, false, true);
	hear(recorder, "flow_opened", 2, 5, 0, false, true);
	hear(recorder, "write", 3, 5, 10, false, true);
	becomes(recorder, "autocork-trace 1 nodelay=1 mss=1000 rtt=90\n0 w 10\n1 c\n2 o 0 1\n3 w 10 1\n");
}

static void what_is_missing_is_counted(void **state)
{
	struct recorder *recorder = recorder_new();
	json_t *lost = json_pack("{ss si ss}", "type", "lost", "count", 3, "where", "ring");
	struct recorder_counts counts;

	assert_true(recorder_hear(recorder, lost));
	assert_true(recorder_hear(recorder, lost));
	json_decref(lost);
	for (int flow = 0; flow <= TRACE_FLOWS_MAX; flow++)
		assert_true(hear(recorder, "write", flow, flow, 10, false, true));
	assert_true(hear(recorder, "write", TRACE_FLOWS_MAX, 1, 10, false, true));
	counts = recorder_counts(recorder);
	assert_int_equal(counts.lost, 6);
	assert_int_equal(counts.flows, TRACE_FLOWS_MAX);
	assert_int_equal(counts.left_out, 1);
	assert_int_equal(counts.writes, TRACE_FLOWS_MAX + 1);
	recorder_free(recorder);
}

static void it_ends_when_it_is_full(void **state)
{
	struct recorder *recorder = recorder_new();
	json_t *read = json_pack("{ss si si}", "type", "read", "monotonic_us", 1, "bytes", 1);

	for (int i = 0; i < TRACE_EVENTS_MAX; i++)
		if (!recorder_hear(recorder, read))
			fail_msg("full at %d", i);
	assert_false(recorder_counts(recorder).full);
	assert_false(recorder_hear(recorder, read));
	assert_true(recorder_counts(recorder).full);
	json_decref(read);
	recorder_free(recorder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(calls_become_lines),
		cmocka_unit_test(what_is_corked_is_one_write),
		cmocka_unit_test(a_port_used_again_is_another_flow),
		cmocka_unit_test(what_is_missing_is_counted),
		cmocka_unit_test(it_ends_when_it_is_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
