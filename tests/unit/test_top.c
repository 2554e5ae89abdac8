/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The rows of autocork top: rates between readings, order, filter, sparkline. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "commands/top_view.h"

static void add(struct top_table *table, int port, const char *program, int writes, int held)
{
	json_t *item =
		json_pack("{si ss ss si si si si si}", "port", port, "side", "server", "program", program, "writes",
			  writes, "held", held, "misses", 0, "flows", 2, "saved_wait_us", 40000 * held);

	assert_int_equal(top_add(table, TOP_SERVICES, item), 0);
	json_decref(item);
}

static void rates_and_trends(void **state)
{
	struct top_table before = { .time = 10 }, now = { .time = 12 }, later = { .time = 13 };

	add(&before, 80, "nginx", 100, 50);
	add(&now, 90, "new", 1000, 900);
	add(&now, 80, "nginx", 300, 150);
	top_compare(&now, &before);
	assert_float_equal(now.rows[1].writes_per_s, 100, 1e-9);
	assert_float_equal(now.rows[1].saved_per_s, 50, 1e-9);
	assert_float_equal(now.rows[1].saved_wait_us_per_s, 2e6, 1e-3);
	assert_float_equal(now.rows[0].saved_per_s, 0, 0); /* nothing to compare with */
	add(&later, 80, "nginx", 200, 100);		   /* fell: the agent began anew */
	add(&later, 90, "new", 1000, 910);
	top_compare(&later, &now);
	assert_float_equal(later.rows[0].saved_per_s, 0, 0);
	assert_float_equal(later.rows[0].trend[TOP_TREND - 2], 50, 1e-6);
	assert_float_equal(later.rows[1].trend[TOP_TREND - 1], 10, 1e-6);
	top_free(&before);
	top_free(&now);
	top_free(&later);
}

static void add_flow(struct top_table *table, int held, int saved_wait_us)
{
	json_t *item = json_pack("{si ss ss si si si si si si si si}", "cookie", 7, "side", "server", "remote", "::1",
				 "remote_port", 9, "local_port", 80, "writes", 2 * held, "held", held, "misses", 0,
				 "age_us", 0, "saved_wait_us", saved_wait_us, "bursts", held);

	assert_int_equal(top_add(table, TOP_FLOWS, item), 0);
	json_decref(item);
}

/* Of a flow it is a share of the service's, which others may have changed: its own packets say what it saved. */
static void time_of_a_flow(void **state)
{
	struct top_table before = { .time = 10 }, idle = { .time = 12 }, busy = { .time = 14 };

	add_flow(&before, 100, 100000);
	add_flow(&idle, 100, 4000000);
	top_compare(&idle, &before);
	assert_float_equal(idle.rows[0].saved_wait_us_per_s, 0, 0);
	add_flow(&busy, 200, 2000000);
	top_compare(&busy, &idle);
	assert_float_equal(busy.rows[0].saved_wait_us_per_s, 50 * 10000, 1e-3);
	top_free(&before);
	top_free(&idle);
	top_free(&busy);
}

static void order_and_filter(void **state)
{
	struct top_table table = { 0 };

	add(&table, 80, "nginx", 100, 50);
	add(&table, 6379, "redis", 300, 10);
	add(&table, 443, "haproxy", 200, 200);
	top_sort(&table, TOP_SHARE, false);
	assert_int_equal(table.rows[0].port, 443);
	top_sort(&table, TOP_PORT, true);
	assert_int_equal(table.rows[0].port, 80);
	top_sort(&table, TOP_PROGRAM, false);
	assert_string_equal(table.rows[0].program, "haproxy");
	top_sort(&table, TOP_TIME, false); /* there is nothing to compare with: the same */
	assert_int_equal(table.rows[0].port, 6379);
	top_sort(&table, TOP_SAVED, false); /* all equal: the one that writes most */
	assert_int_equal(table.rows[0].port, 6379);
	assert_true(top_matches(&table.rows[0], ""));
	assert_true(top_matches(&table.rows[0], "REDIS"));
	assert_true(top_matches(&table.rows[0], "63"));
	assert_true(top_matches(&table.rows[0], "serv"));
	assert_false(top_matches(&table.rows[0], "nginx"));
	top_free(&table);
}

static void sparklines(void **state)
{
	struct top_row row = { .trend = { [12] = 1, [13] = 50, [14] = 100, [15] = 0 } };
	char text[TOP_TREND * 3 + 1];

	top_sparkline(&row, false, text);
	assert_string_equal(text, "            ▁▄█ ");
	top_sparkline(&row, true, text);
	assert_string_equal(text, "            .:# ");
	memset(row.trend, 0, sizeof(row.trend));
	top_sparkline(&row, false, text);
	assert_string_equal(text, "                ");
}

/* What an agent of another version, or no agent at all, may send. */
static void strange_items(void **state)
{
	struct top_table table = { 0 };
	json_t *item = json_pack("{ss si ss}", "program", "\x1b[2J", "port", 99999, "writes", "many");

	assert_int_equal(top_add(&table, TOP_SERVICES, item), 0);
	assert_int_equal(top_add(&table, TOP_FLOWS, item), 0);
	assert_string_equal(table.rows[0].program, "\\x1b[2J");
	top_compare(&table, &(struct top_table){ 0 });
	json_decref(item);
	top_free(&table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rates_and_trends), cmocka_unit_test(time_of_a_flow),
		cmocka_unit_test(order_and_filter), cmocka_unit_test(sparklines),
		cmocka_unit_test(strange_items),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
