/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The counters file between autocork-fastpath and the agent, and the command line that the agent builds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "fastpath-client/fastpath_stats.h"
#include "fastpath/fastpath_options.h"

static char dir[] = "/tmp/fastpath-stats-XXXXXX";
static char path[256];

static int make_dir(void **state)
{
	return mkdtemp(dir) && fastpath_stats_path(dir, "one", path, sizeof(path)) ? 0 : -1;
}

static int remove_dir(void **state)
{
	unlink(path);
	return rmdir(dir);
}

static struct fastpath_file *create(int *fd)
{
	struct fault fault;
	struct fastpath_file *file = fastpath_stats_create(path, 2, fd, &fault);

	assert_non_null(file);
	strcpy(file->name, "one");
	strcpy(file->job, "coalesce");
	file->queue[1].merged = 42;
	return file;
}

static void writes_and_reads(void **state)
{
	struct fastpath_file *file, *copy;
	struct fault fault;
	bool alive;
	int fd;

	file = create(&fd);
	assert_null(fastpath_stats_read(path, &alive, &fault)); /* not published yet */
	fastpath_stats_publish(file);
	copy = fastpath_stats_read(path, &alive, &fault);
	assert_non_null(copy);
	assert_true(alive);
	assert_int_equal(copy->pid, getpid());
	assert_int_equal(copy->queues, 2);
	assert_string_equal(copy->job, "coalesce");
	for (size_t i = 0; i < fastpath_counter_count; i++)
		assert_int_equal(fastpath_counter_value(&copy->queue[1], &fastpath_counters[i]),
				 strcmp(fastpath_counters[i].name, "merged") ? 0 : 42);
	free(copy);
	fastpath_stats_destroy(file, path, fd);
	assert_null(fastpath_stats_read(path, &alive, &fault));
}

static void second_writer_is_refused(void **state)
{
	struct fault fault;
	struct fastpath_file *file;
	int fd, other;

	file = create(&fd);
	assert_null(fastpath_stats_create(path, 2, &other, &fault));
	assert_non_null(strstr(fault.text, "another"));
	fastpath_stats_destroy(file, path, fd);
}

/* A writer that was killed leaves its file; readers know, and the next writer takes it over. */
static void killed_writer(void **state)
{
	struct fastpath_file *file, *copy;
	struct fault fault;
	bool alive;
	int fd, status;
	pid_t child = fork();

	if (!child) {
		fastpath_stats_publish(create(&fd));
		_exit(0);
	}
	waitpid(child, &status, 0);
	copy = fastpath_stats_read(path, &alive, &fault);
	assert_non_null(copy);
	assert_false(alive);
	free(copy);
	file = fastpath_stats_create(path, 1, &fd, &fault);
	assert_non_null(file);
	assert_int_equal(file->queue[0].merged, 0);
	assert_null(fastpath_stats_read(path, &alive, &fault));
	fastpath_stats_publish(file);
	copy = fastpath_stats_read(path, &alive, &fault);
	assert_non_null(copy);
	assert_true(alive);
	free(copy);
	fastpath_stats_destroy(file, path, fd);
}

static void odd_files_are_refused(void **state)
{
	struct fastpath_file *file;
	struct fault fault;
	bool alive;
	int fd;

	assert_null(fastpath_stats_read(dir, &alive, &fault));
	file = create(&fd);
	fastpath_stats_publish(file);
	file->queues = 3;
	assert_null(fastpath_stats_read(path, &alive, &fault));
	file->queues = 2;
	file->version++;
	assert_null(fastpath_stats_read(path, &alive, &fault));
	file->version--;
	/* Strings without an end. */
	memset(file->name, 'x', sizeof(file->name));
	memset(file->queue[0].interface, 'x', sizeof(file->queue[0].interface));
	file = fastpath_stats_read(path, &alive, &fault);
	assert_non_null(file);
	assert_int_equal(strlen(file->name), FASTPATH_NAME_LEN - 1);
	assert_int_equal(strlen(file->queue[0].interface), sizeof(file->queue[0].interface) - 1);
	free(file);
	assert_int_equal(truncate(path, 100), 0);
	assert_null(fastpath_stats_read(path, &alive, &fault));
	close(fd);
	unlink(path);
}

static void count_one(const struct fastpath_file *file, bool alive, void *context)
{
	*(int *)context += alive;
}

static void visits_every_instance(void **state)
{
	struct fastpath_file *file;
	int fd, alive = 0;

	assert_int_equal(fastpath_stats_each("/nonexistent", count_one, &alive), 0);
	file = create(&fd);
	fastpath_stats_publish(file);
	assert_int_equal(fastpath_stats_each(dir, count_one, &alive), 1);
	assert_int_equal(alive, 1);
	fastpath_stats_destroy(file, path, fd);
}

static void names(void **state)
{
	char small[10];

	assert_true(fastpath_name_valid("eth1.100"));
	assert_false(fastpath_name_valid(""));
	assert_false(fastpath_name_valid("../x"));
	assert_false(fastpath_name_valid(".x"));
	assert_false(fastpath_name_valid("a b"));
	assert_false(fastpath_name_valid("a-name-of-more-than-thirty-one-ch"));
	assert_false(fastpath_stats_path("/run", "eth1", small, sizeof(small)));
}

static void holds(void **state)
{
	static const char *const wrong[] = {
		"", "50", "us", "-1us", " 5us", "11ms", "1s", "50us ", "99999999999999999999us", "0x5us"
	};
	uint64_t ns;

	assert_true(options_parse_hold("50us", &ns) && ns == 50000);
	assert_true(options_parse_hold("10ms", &ns) && ns == 10000000);
	assert_true(options_parse_hold("0", &ns) && ns == 0);
	assert_true(options_parse_hold("0us", &ns) && ns == 0);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (options_parse_hold(wrong[i], &ns))
			fail_msg("%s: taken", wrong[i]);
}

static void cores(void **state)
{
	static const char *const wrong[] = {
		"", "x", "-1", "1-", "1,", ",1", "3-2", "0x1", "1 ", "99999999999999999999"
	};
	cpu_set_t set;

	assert_true(options_parse_cores("0-1,5", &set));
	assert_int_equal(CPU_COUNT(&set), 3);
	assert_true(CPU_ISSET(0, &set) && CPU_ISSET(1, &set) && CPU_ISSET(5, &set));
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (options_parse_cores(wrong[i], &set))
			fail_msg("%s: taken", wrong[i]);
}

static bool has(char *const *argv, const char *argument)
{
	for (; *argv; argv++)
		if (!strcmp(*argv, argument))
			return true;
	return false;
}

static void forget(char **argv)
{
	for (char **each = argv; *each; each++)
		free(*each);
	free(argv);
}

static void eal_arguments(void **state)
{
	char *words[] = { "autocork-fastpath", "-i",  "eth1", "-i",  "eth2", "--hold", "50us",
			  "--queues",	       "all", "-c",   "2-3", NULL };
	char *more[] = { "autocork-fastpath", "--job", "reflect",	  "-a", "10.0.0.1", "-a",
			 "fd00::1",	      "--",    "--vdev=net_tap0", "-a", "x",	    NULL };
	struct fastpath_options options;
	bool apart[] = { false, true };
	char **argv;

	options_parse(&options, 11, words);
	assert_string_equal(options.name, "eth1");
	assert_int_equal(options.hold_ns, 50000);
	assert_int_equal(options.queues, 0);
	options.queues = 2;
	assert_true(options_eal_arguments(&options, apart, true, 100, &argv) > 0);
	assert_true(has(argv, "--vdev=net_af_xdp_0_0,iface=eth1,start_queue=0,queue_count=2"));
	assert_true(has(argv, "--vdev=net_af_xdp_1_0,iface=eth2,start_queue=0,queue_count=1"));
	assert_true(has(argv, "--vdev=net_af_xdp_1_1,iface=eth2,start_queue=1,queue_count=1"));
	assert_true(has(argv, "--in-memory") && has(argv, "--no-pci") && has(argv, "2-3") && has(argv, "100"));
	forget(argv);
	options_parse(&options, 11, more);
	assert_int_equal(options.reflect.address_count, 2);
	assert_int_equal(options.eal_count, 3);
	assert_true(options_eal_arguments(&options, apart, false, 100, &argv) > 0);
	assert_true(has(argv, "--no-huge") && has(argv, "--vdev=net_tap0") && has(argv, "x") && !has(argv, "--no-pci"));
	forget(argv);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_and_reads),
		cmocka_unit_test(second_writer_is_refused),
		cmocka_unit_test(killed_writer),
		cmocka_unit_test(odd_files_are_refused),
		cmocka_unit_test(visits_every_instance),
		cmocka_unit_test(names),
		cmocka_unit_test(holds),
		cmocka_unit_test(cores),
		cmocka_unit_test(eal_arguments),
	};

	return cmocka_run_group_tests_name("fastpath_stats", tests, make_dir, remove_dir);
}
