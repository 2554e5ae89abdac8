/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The sums of programs with TCP of their own on the agent's metrics page. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "metrics_page.h"

static int lines_of(const char *page)
{
	int lines = 0;

	for (; *page; page = strchr(page, '\n') + 1)
		lines += *page != '#';
	return lines;
}

static void sums_are_shown(void **state)
{
	struct telemetry_snapshot snapshot = { .has_endpoint = true };
	char *page;
	int series;

	snapshot.endpoint.programs = 3;
	snapshot.endpoint.page.connections = 4000000000;
	snapshot.endpoint.page.retransmitted = 1ull << 40;
	snapshot.endpoint.moved[ENDPOINT_FOR_FORK] = 17;
	page = page_of(page_endpoint, &snapshot, &series);
	assert_non_null(strstr(page, "autocork_endpoint_programs 3\n"));
	assert_non_null(strstr(page, "autocork_endpoint_connections 4000000000\n"));
	assert_non_null(strstr(page, "autocork_endpoint_retransmitted_total 1099511627776\n"));
	assert_non_null(strstr(page, "autocork_endpoint_moved_total{reason=\"fork\"} 17\n"));
	assert_non_null(strstr(page, "# TYPE autocork_endpoint_sleeps counter\n"));
	assert_int_equal(lines_of(page), series);
	/* With what the other parts have at most (test_fastpath_metrics.c, test_steer_metrics.c). */
	assert_true(series + 300 + TELEMETRY_STEER_MAX * (3 + STEER_VERDICT_MAX) <= AGENT_SERIES);
	free(page);
}

static void nothing_without_a_policy(void **state)
{
	writes_nothing(page_endpoint);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sums_are_shown),
		cmocka_unit_test(nothing_without_a_policy),
	};

	return cmocka_run_group_tests_name("endpoint_metrics", tests, NULL, NULL);
}
