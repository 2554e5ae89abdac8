/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The rows of autocork endpoint top: rates between readings, order, filter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "commands/endpoint_view.h"

static json_t *instance(const char *program, int pid, int queue, int segments, int polls, int sleeps)
{
	return json_pack("{ss si ss si si si si si si si}", "program", program, "pid", pid, "interface", "eth1",
			 "queue", queue, "connections", segments / 10, "segments_in", segments, "bad_checksum",
			 segments / 100, "tx_full", segments / 100, "polls", polls, "sleeps", sleeps);
}

static struct endpoint_rows rows_of(double time, json_t *one, json_t *two)
{
	struct endpoint_rows rows = { .time = time };
	json_t *list = json_pack("[o o]", one, two);

	assert_int_equal(endpoint_rows_read(&rows, list), 0);
	assert_int_equal(rows.count, 2);
	json_decref(list);
	return rows;
}

static void rates(void **state)
{
	struct endpoint_rows before =
		rows_of(10, instance("nginx", 5, 0, 1000, 100, 90), instance("nginx", 5, 1, 7000, 0, 0));
	struct endpoint_rows now = rows_of(12, instance("nginx", 5, 1, 5000, 50, 50), /* fell: it began anew */
					   instance("nginx", 5, 0, 2000, 300, 140));

	endpoint_rows_compare(&now, &before);
	assert_float_equal(now.rows[0].rate[ENDPOINT_IN], 0, 0);
	assert_float_equal(now.rows[0].rate[ENDPOINT_POLLS], 25, 1e-9);
	assert_float_equal(now.rows[1].rate[ENDPOINT_IN], 500, 1e-9);
	/* 10 + 10 before, 20 + 20 now, in 2 s */
	assert_float_equal(now.rows[1].rate[ENDPOINT_DROPPED], 10, 1e-9);
	assert_float_equal(endpoint_sleep_share(&now.rows[1]), 25, 1e-9);
	assert_float_equal(endpoint_sleep_share(&before.rows[0]), 0, 0); /* nothing to compare with */
	endpoint_rows_free(&before);
	endpoint_rows_free(&now);
}

static void order_and_filter(void **state)
{
	struct endpoint_rows none = { .time = 1 },
			     rows = rows_of(2, instance("redis", 7, 0, 100, 0, 0), instance("nginx", 65, 1, 900, 0, 0));

	endpoint_rows_compare(&rows, &none);
	endpoint_rows_sort(&rows, ENDPOINT_BY_OPEN, false);
	assert_string_equal(rows.rows[0].program, "nginx");
	endpoint_rows_sort(&rows, ENDPOINT_BY_OPEN, true);
	assert_string_equal(rows.rows[0].program, "redis");
	endpoint_rows_sort(&rows, ENDPOINT_BY_PROGRAM, false);
	assert_string_equal(rows.rows[0].program, "nginx");
	endpoint_rows_sort(&rows, ENDPOINT_BY_IN, false); /* all equal: by number */
	assert_int_equal(rows.rows[0].pid, 7);
	assert_true(endpoint_row_matches(&rows.rows[0], ""));
	assert_true(endpoint_row_matches(&rows.rows[0], "REDIS"));
	assert_true(endpoint_row_matches(&rows.rows[1], "65"));
	assert_true(endpoint_row_matches(&rows.rows[1], "eth"));
	assert_false(endpoint_row_matches(&rows.rows[1], "redis"));
	endpoint_rows_free(&rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rates),
		cmocka_unit_test(order_and_filter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
