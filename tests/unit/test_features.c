/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What the agent says of the kernel's features: as tried at the start, and a hook that turns out to miss writes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/features.h"

static void a_hook_that_misses_writes_does_not_work(void **state)
{
	struct features features = { 0 };
	const struct engine_feature *write = &features.list[1];

	(void)state;
	features_note(&features, "fentry", true, "nothing", "nothing", "works");
	features_note(&features, "write hook", true, "flows learn nothing", "a kernel", "fentry tcp_sendmsg_locked");
	features_note_unseen(&features, 0);
	assert_true(write->works);
	assert_string_equal(write->reason, "fentry tcp_sendmsg_locked");
	features_note_unseen(&features, 3);
	assert_false(write->works);
	assert_string_equal(write->reason, "3 connections wrote and it saw nothing of it");
	assert_non_null(strstr(write->without, "never managed"));
	assert_true(features.list[0].works);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(a_hook_that_misses_writes_does_not_work) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
