/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* From policy files to the command that the agent runs for `steer = dpdk`. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "fastpath-client/fastpath_plan.h"

/* The command for a policy file's text, its words joined by blanks; "" for none; the fault's text if it cannot be. */
static const char *plan(const char *text)
{
	static char joined[2048];
	char path[] = "/tmp/fastpath-plan-XXXXXX", *files[] = { path }, **argv;
	int fd = mkstemp(path);
	struct policy_set *set;
	struct fault fault;

	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	if (policy_load_files(&set, files, 1, NULL, &fault))
		fail_msg("%s", fault.text);
	unlink(path);
	joined[0] = 0;
	if (fastpath_plan(set, "/x/fast", "/run", &argv, &fault)) {
		assert_int_equal(fault.exit_code, EXIT_CONFIG);
		assert_null(argv);
		snprintf(joined, sizeof(joined), "%s", fault.text);
	}
	for (int i = 0; argv && argv[i]; i++) {
		strcat(joined, i ? " " : "");
		strcat(joined, argv[i]);
	}
	fastpath_plan_free(argv);
	policy_set_free(set);
	return joined;
}

static void nothing_is_asked_for(void **state)
{
	assert_string_equal(plan(""), "");
	assert_string_equal(plan("[policy a]\nports = 1\nsteer = af_xdp\ninterface = eth1\n"), "");
	assert_string_equal(plan("[fastpath]\njob = reflect\n"), "");
}

static void one_process_for_all(void **state)
{
	assert_string_equal(plan("[policy a]\nports = 1\nsteer = dpdk\ninterface = eth1\nqueues = 0-1\n"
				 "[policy b]\nports = 2\nsteer = dpdk\ninterface = eth1\nqueues = 3\n"
				 "[policy c]\nports = 3\nsteer = af_xdp\ninterface = eth3\n"
				 "[fastpath]\ninterfaces = eth2\nhold = 50us\n"),
			    "/x/fast --name=agent --run-dir=/run --job=coalesce --hold=50us --queues=4 "
			    "--interface=eth1 --interface=eth2");
	assert_string_equal(plan("[policy a]\nports = 1\nsteer = dpdk\ninterface = eth1\n"
				 "[fastpath]\njob = reflect\nhold = 50us\n"),
			    "/x/fast --name=agent --run-dir=/run --job=reflect --queues=all --interface=eth1");
	assert_string_equal(plan("[fastpath]\ninterfaces = eth1, eth2\n"),
			    "/x/fast --name=agent --run-dir=/run --job=coalesce --queues=all --interface=eth1 "
			    "--interface=eth2");
}

static void pairs_only(void **state)
{
	assert_non_null(strstr(plan("[policy a]\nports = 1\nsteer = dpdk\ninterface = eth1\n"),
			       "eth1: `job = coalesce` forwards"));
}

static void commands_are_compared(void **state)
{
	char *a[] = { "x", "y", NULL }, *b[] = { "x", "y", NULL }, *c[] = { "x", NULL }, *d[] = { "x", "z", NULL };

	assert_true(fastpath_plan_equal(a, b));
	assert_false(fastpath_plan_equal(a, c));
	assert_false(fastpath_plan_equal(c, a));
	assert_false(fastpath_plan_equal(a, d));
	assert_true(fastpath_plan_equal(NULL, NULL));
	assert_false(fastpath_plan_equal(a, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_asked_for),
		cmocka_unit_test(one_process_for_all),
		cmocka_unit_test(pairs_only),
		cmocka_unit_test(commands_are_compared),
	};

	return cmocka_run_group_tests_name("fastpath_plan", tests, NULL, NULL);
}
