/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* agent/release/pending.c: what is due later is served in the order of its time, also where the clock wraps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "release/pending.h"

#define LATEST 2000 /* us that a hold is handed over ahead */

static struct pending pending;

static void add(uint32_t due_us)
{
	pending_add(&pending, &(struct ac_due){ .due_us = due_us });
}

static void in_order(void **state)
{
	struct ac_due due;

	(void)state;
	assert_int_equal(pending_rest_us(&pending, 5), -1);
	assert_false(pending_take(&pending, 5, &due));
	add(300);
	add(100);
	add(200);
	assert_int_equal(pending_rest_us(&pending, 40), 60);
	assert_false(pending_take(&pending, 99, &due));
	for (uint32_t at = 100; at <= 300; at += 100) {
		assert_int_equal(pending_rest_us(&pending, at), 0);
		assert_true(pending_take(&pending, at, &due));
		assert_int_equal(due.due_us, at);
		assert_false(pending_take(&pending, at, &due));
	}
	assert_int_equal(pending_rest_us(&pending, 300), -1);
}

/* One that is over long ago is served too. */
static void late(void **state)
{
	struct ac_due due;

	(void)state;
	add(100);
	assert_int_equal(pending_rest_us(&pending, 1000000), 0);
	assert_true(pending_take(&pending, 1000000, &due));
}

/* Comes and goes at random over the wrap of 32 bits: nothing early, nothing late, nothing out of order, none lost. */
static void random_times(void **state)
{
	uint32_t now = UINT32_MAX - 20000, before = now;
	size_t added = 0, taken = 0;
	struct ac_due due;

	(void)state;
	srand(1);
	for (int i = 0; i < 20000; i++, now += rand() % 4) {
		if (i < 19000 && rand() % 2) {
			add(now + rand() % LATEST);
			added++;
		}
		while (pending_take(&pending, now, &due)) {
			assert_true((int32_t)(now - due.due_us) >= 0 && now - due.due_us < 4);
			assert_true((int32_t)(due.due_us - before) >= -(int32_t)(now - due.due_us) - 4);
			before = due.due_us;
			taken++;
		}
	}
	while (pending_take(&pending, now + LATEST, &due))
		taken++;
	assert_int_equal(taken, added);
}

/* What finds no room is left out, and nothing else. */
static void full(void **state)
{
	struct ac_due due;

	(void)state;
	for (uint32_t i = 0; i < PENDING_MAX + 10; i++)
		add(i);
	for (uint32_t i = 0; i < PENDING_MAX; i++) {
		assert_true(pending_take(&pending, UINT16_MAX, &due));
		assert_int_equal(due.due_us, i);
	}
	assert_false(pending_take(&pending, UINT16_MAX, &due));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_order),
		cmocka_unit_test(late),
		cmocka_unit_test(random_times),
		cmocka_unit_test(full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
