/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The counters of autocork-fastpath on the agent's metrics page. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "metrics_page.h"
#include "telemetry/fastpath.h"

static char dir[] = "/tmp/fastpath-metrics-XXXXXX";

static void ports_add_up_their_queues(void **state)
{
	struct telemetry_snapshot snapshot = { 0 };
	struct fastpath_file *file;
	char control[64], where[64], path[128], *page;
	struct fault fault;
	int fd, series;

	assert_non_null(mkdtemp(dir));
	snprintf(control, sizeof(control), "%s/control.sock", dir);
	assert_true(fastpath_stats_beside(control, where, sizeof(where)));
	assert_true(fastpath_stats_path(where, "one", path, sizeof(path)));
	file = fastpath_stats_create(path, 24, &fd, &fault);
	assert_non_null(file);
	strcpy(file->name, "one");
	/* Twelve ports of two queues each: more than are shown. */
	for (int i = 0; i < 24; i++) {
		snprintf(file->queue[i].interface, sizeof(file->queue[i].interface), "eth%d", i / 2);
		file->queue[i].merged = 100 + i;
		file->queue[i].rx_bytes = 1;
	}
	fastpath_stats_publish(file);
	fastpath_snapshot(control, &snapshot);
	assert_int_equal(snapshot.fastpath_count, TELEMETRY_FASTPATH_MAX);
	page = page_of(page_fastpath, &snapshot, &series);
	assert_non_null(strstr(page, "autocork_fastpath_merged_total{name=\"one\",interface=\"eth1\"} 205\n"));
	assert_non_null(strstr(page, "autocork_fastpath_rx_bytes_total{name=\"one\",interface=\"eth0\"} 2\n"));
	assert_non_null(strstr(page, "autocork_fastpath_running{name=\"one\",interface=\"eth0\"} 1\n"));
	assert_non_null(strstr(page, "# TYPE autocork_fastpath_flows gauge\n"));
	assert_int_equal(series, TELEMETRY_FASTPATH_MAX * (1 + fastpath_counter_count));
	assert_true(series + 300 <= AGENT_SERIES);
	free(page);
	fastpath_stats_destroy(file, path, fd);
	rmdir(where);
	rmdir(dir);
}

static void nothing_without_a_process(void **state)
{
	struct telemetry_snapshot snapshot = { 0 };
	int series;
	char *page;

	fastpath_snapshot("/nonexistent/control.sock", &snapshot);
	page = page_of(page_fastpath, &snapshot, &series);
	assert_string_equal(page, "");
	assert_int_equal(series, 0);
	free(page);
}

static int families;

static void visit(const struct metrics_family *family, void *context)
{
	families++;
	assert_string_equal(family->labels, "name,interface");
}

static void every_family_is_listed(void **state)
{
	fastpath_families(visit, NULL);
	assert_int_equal(families, 1 + fastpath_counter_count);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ports_add_up_their_queues),
		cmocka_unit_test(nothing_without_a_process),
		cmocka_unit_test(every_family_is_listed),
	};

	return cmocka_run_group_tests_name("fastpath_metrics", tests, NULL, NULL);
}
