/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* agent/bench/copy: lists of modes, medians, costs and rates. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "bench/copy.h"
#include "bench/wire.h"

static void modes_are_named(void **state)
{
	assert_int_equal(bench_copy_modes("send"), 1u << BENCH_COPY_SEND);
	assert_int_equal(bench_copy_modes("splice,send"), 1u << BENCH_COPY_SEND | 1u << BENCH_COPY_SPLICE);
	assert_int_equal(bench_copy_modes("send,send"), 1u << BENCH_COPY_SEND);
	assert_int_equal(bench_copy_modes("sendfile"), 1u << BENCH_COPY_SENDFILE);
	for (int mode = 0; mode < BENCH_COPY_MODES; mode++)
		assert_int_equal(bench_copy_modes(bench_copy_name(mode)), 1u << mode);
}

static void other_names_are_refused(void **state)
{
	static const char *const lists[] = { "",	  ",",		 "send,",      ",send", "sen",
					     "sendfiles", "send splice", "send,,read", "SEND" };

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		assert_int_equal(bench_copy_modes(lists[i]), 0);
}

static void the_median_is_by_cost(void **state)
{
	struct bench_copy_sample samples[] = {
		{ .bytes = 100, .user_ns = 500 },
		{ .bytes = 1000, .system_ns = 1000 },
		{ .bytes = 10, .user_ns = 10, .system_ns = 10 },
		{ .bytes = 100, .user_ns = 900 },
	};

	assert_int_equal(bench_copy_median(samples, 1)->user_ns, 500);
	assert_int_equal(bench_copy_median(samples, 3)->bytes, 10);
	assert_int_equal(bench_copy_median(samples, 4)->bytes, 10);
}

static void rates_and_costs(void **state)
{
	struct bench_copy_sample sample = {
		.elapsed_ns = 1000000000, .bytes = 125000000, .user_ns = 50000000, .system_ns = 75000000
	};
	struct bench_copy_sample nothing = { 0 };

	assert_float_equal(bench_copy_rate(&sample), 1000, 0.001);
	assert_float_equal(bench_copy_cost(&sample), 1, 0.001);
	assert_true(bench_copy_kept_up(&sample, 1000));
	assert_true(bench_copy_kept_up(&sample, 1030));
	assert_false(bench_copy_kept_up(&sample, 1032));
	assert_float_equal(bench_copy_rate(&nothing), 0, 0);
	assert_float_equal(bench_copy_cost(&nothing), 0, 0);
}

static void periodic_bytes_are_compared(void **state)
{
	uint8_t bytes[70];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = bench_byte((5 + i) % 30);
	assert_int_equal(bench_wrong_periodic(bytes, sizeof(bytes), 5, 30), 0);
	assert_int_equal(bench_wrong_periodic(bytes, sizeof(bytes), 35, 30), 0);
	bytes[60] ^= 1;
	assert_int_equal(bench_wrong_periodic(bytes, sizeof(bytes), 5, 30), 1);
	assert_true(bench_wrong_periodic(bytes, sizeof(bytes), 6, 30) > 30);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(modes_are_named),
		cmocka_unit_test(other_names_are_refused),
		cmocka_unit_test(the_median_is_by_cost),
		cmocka_unit_test(rates_and_costs),
		cmocka_unit_test(periodic_bytes_are_compared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
