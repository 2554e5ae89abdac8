/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Which calls of setsockopt() change nothing, and what they do to the response they belong to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <autocork/response.h>

#define NODELAY AC_OPTION_NODELAY
#define CORK AC_OPTION_CORK

static void idle(void **state)
{
	static const struct {
		enum ac_option option;
		bool on;
		uint8_t before;
		bool unsent, idle;
	} cases[] = {
		{ NODELAY, true, 0, false, false },
		{ NODELAY, true, 0, true, false },
		{ NODELAY, true, AC_NONAGLE_OFF, false, true },
		/* Said again, it still sends what waits. */
		{ NODELAY, true, AC_NONAGLE_OFF, true, false },
		{ NODELAY, false, 0, false, true },
		{ NODELAY, false, 0, true, true },
		{ NODELAY, false, AC_NONAGLE_OFF, true, false },
		{ NODELAY, true, AC_NONAGLE_CORK, false, false },
		{ CORK, true, 0, true, false },
		{ CORK, true, AC_NONAGLE_CORK, false, true },
		{ CORK, true, AC_NONAGLE_CORK, true, true },
		{ CORK, false, AC_NONAGLE_CORK, false, false },
		{ CORK, false, 0, false, true },
		{ CORK, false, 0, true, false },
		{ CORK, false, AC_NONAGLE_OFF, false, true },
	};

	for (size_t i = 0; i < AC_ARRAY_SIZE(cases); i++)
		if (ac_option_idle(cases[i].option, cases[i].on, cases[i].before, cases[i].unsent) != cases[i].idle)
			fail_msg("case %zu: %s", i, cases[i].idle ? "changes nothing" : "changes something");
}

static void in_a_response(void **state)
{
	struct ac_response r = { .state = AC_RESPONSE_TAIL, .last_ns = 1000 };

	ac_response_option(&r, CORK, true, false, 5000);
	ac_response_option(&r, NODELAY, true, true, 5000);
	assert_true(r.state & AC_RESPONSE_TAIL);
	ac_response_option(&r, CORK, false, false, 9000);
	assert_false(r.state & AC_RESPONSE_TAIL);
	assert_int_equal(r.told.tail_us, 8);
	assert_int_equal(r.told.cork_calls, 2);
	assert_int_equal(r.told.nodelay_calls, 1);
	assert_int_equal(r.told.idle_calls, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(idle),
		cmocka_unit_test(in_a_response),
	};

	return cmocka_run_group_tests_name("option calls", tests, NULL, NULL);
}
