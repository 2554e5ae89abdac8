/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The sentences of `autocork try`. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "telemetry/finding.h"

static void says(const struct advice_counts *counts, double seconds, uint8_t side, const char *program,
		 const char *expected)
{
	struct finding finding = finding_make(counts, seconds);
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	finding_print(out, &finding, 8084, side, program);
	fclose(out);
	assert_string_equal(text, expected);
	free(text);
}

static void sentences(void **state)
{
	/* 22 responses a second in 2 packets, each of which waits 43 ms for an ACK */
	says(&(struct advice_counts){ .writes = 660,
				      .bursts = 330,
				      .segments = 660,
				      .shadow_held = 330,
				      .shadow_stall_us = 330 * 43000 },
	     15, AC_SIDE_SERVER, "python3",
	     "python3 on port 8084 waits 43.00ms for each of 22 responses a second (Nagle).\n");
	says(&(struct advice_counts){ .writes = 9000, .bursts = 1000, .segments = 9000, .shadow_held = 8000 }, 10,
	     AC_SIDE_CLIENT, "ruby",
	     "ruby as a client of port 8084 sends 9.0 packets where 1.0 would do, 100 requests a second.\n");
	/* Nagle's algorithm joined them: nothing to gain is said, not 8 packets */
	says(
		&(struct advice_counts){
			.writes = 9000, .bursts = 1000, .segments = 1000, .shadow_held = 8000, .shadow_merged = 8000 },
		10, AC_SIDE_ANY, "",
		"a program on port 8084 has nothing to gain: 1.0 packets for each of 100 messages a second.\n");
	says(&(struct advice_counts){ .writes = 9000, .bursts = 1000, .segments = 1000, .held = 8000 }, 10,
	     AC_SIDE_SERVER, "nginx",
	     "nginx on port 8084 is managed already: 1.0 packets for each of 100 responses a second.\n");
	says(&(struct advice_counts){ .writes = 18, .bursts = 9, .segments = 18, .shadow_held = 9 }, 10, AC_SIDE_SERVER,
	     "nginx", "nginx on port 8084 wrote too little to tell.\n");
	says(&(struct advice_counts){ 0 }, 0, AC_SIDE_SERVER, "nginx",
	     "nginx on port 8084 wrote too little to tell.\n");
}

static void worst_comes_first(void **state)
{
	static const struct finding order[] = {
		{ FINDING_WAITS, 100, 0.04, 2, 1 }, { FINDING_WAITS, 10, 0.04, 2, 1 },
		{ FINDING_PACKETS, 100, 0, 9, 1 },  { FINDING_PACKETS, 100, 0, 2, 1 },
		{ FINDING_MANAGED, 9999, 0, 1, 1 }, { FINDING_NOTHING, 9999, 0, 1, 1 },
	};

	for (size_t i = 1; i < sizeof(order) / sizeof(order[0]); i++) {
		assert_true(finding_compare(&order[i - 1], &order[i]) < 0);
		assert_true(finding_compare(&order[i], &order[i - 1]) > 0);
	}
	assert_int_equal(finding_compare(&order[0], &order[0]), 0);
}

/* No count that may come over the socket makes a figure that is none. */
static void nonsense(void **state)
{
	struct finding finding = finding_make(
		&(struct advice_counts){ .writes = 1, .bursts = UINT64_MAX, .shadow_held = UINT64_MAX, .segments = 1 },
		1);

	assert_true(finding.packets_possible >= 0 && finding.packets_now >= finding.packets_possible);
	assert_int_equal(finding.kind, FINDING_NOTHING);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sentences),
		cmocka_unit_test(worst_comes_first),
		cmocka_unit_test(nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
