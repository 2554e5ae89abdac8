/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The counters of steering on the agent's metrics page. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "metrics_page.h"

static void interfaces_are_series(void **state)
{
	struct telemetry_snapshot snapshot = { .steer_count = TELEMETRY_STEER_MAX };
	char *page;
	int series;

	for (int i = 0; i < TELEMETRY_STEER_MAX; i++) {
		struct steer_counters *counters = &snapshot.steer[i];

		snprintf(counters->interface, sizeof(counters->interface), "eth%d", i);
		counters->queues = 4;
		counters->consumers = i;
		counters->packets[STEER_VERDICT_MIDSTREAM] = 1000 + i;
	}
	strcpy(snapshot.steer[7].interface, "a\"b");
	page = page_of(page_steer, &snapshot, &series);
	assert_non_null(strstr(page, "autocork_steer_packets_total{interface=\"eth3\",verdict=\"midstream\"} 1003\n"));
	assert_non_null(strstr(page, "autocork_steer_consumers{interface=\"eth2\"} 2\n"));
	assert_non_null(strstr(page, "autocork_steer_attached{interface=\"eth0\"} 0\n"));
	assert_non_null(strstr(page, "# TYPE autocork_steer_packets counter\n"));
	assert_null(strstr(page, "\"a\"b\""));
	assert_int_equal(series, TELEMETRY_STEER_MAX * (3 + STEER_VERDICT_MAX));
	free(page);
}

static void nothing_without_an_interface(void **state)
{
	writes_nothing(page_steer);
}

static void visit(const struct metrics_family *family, void *context)
{
	int *count = context;

	assert_int_equal(strncmp(family->labels, "interface", 9), 0);
	(*count)++;
}

static void every_family_is_listed(void **state)
{
	int count = 0;

	steer_families(visit, &count);
	assert_int_equal(count, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(interfaces_are_series),
		cmocka_unit_test(nothing_without_an_interface),
		cmocka_unit_test(every_family_is_listed),
	};

	return cmocka_run_group_tests_name("steer_metrics", tests, NULL, NULL);
}
