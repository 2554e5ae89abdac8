/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Policy directories that change: noticed once, when the change has come to rest, and only if what the files say
 * did. */
#include <stdio.h>
#include <sys/stat.h>
#include <systemd/sd-event.h>

#include "policy/fixture.h"
#include "lib/clock.h"
#include "policy/dir_watch.h"

#define SETTLE_US 50000
#define OBSERVE "[policy a]\nmode = observe\n"
#define OFF "[policy a]\nmode = off\n"

struct watched {
	char root[64], dir[128];
	const char *dirs[2];
	struct dir_watch *watch;
	sd_event *event;
	int changes;
};

static void count(void *context)
{
	++*(int *)context;
}

static void begin(struct watched *it, bool exists)
{
	struct fault fault;

	*it = (struct watched){ .dirs = { it->dir } };
	fixture_directory(it->root);
	snprintf(it->dir, sizeof(it->dir), "%s/made/policy.d", it->root);
	if (exists) {
		char above[80];

		snprintf(above, sizeof(above), "%s/made", it->root);
		assert_int_equal(mkdir(above, 0755) || mkdir(it->dir, 0755), 0);
	}
	assert_true(sd_event_new(&it->event) >= 0);
	assert_int_equal(dir_watch_new(&it->watch, it->event, it->dirs, DIR_WATCH_FILES, SETTLE_US, count, &it->changes,
				       &fault),
			 0);
}

static void end(struct watched *it)
{
	dir_watch_free(it->watch);
	sd_event_unref(it->event);
	fixture_remove(it->root);
}

/* Lets the loop run until a change is told, or for so long. */
static int changes_within(struct watched *it, uint64_t us)
{
	uint64_t until = monotonic_us() + us;

	it->changes = 0;
	while (!it->changes && monotonic_us() < until)
		assert_true(sd_event_run(it->event, SETTLE_US) >= 0);
	return it->changes;
}

#define SOON 10000000
#define A_WHILE (8 * SETTLE_US)

static void test_files(void **state)
{
	struct watched it;
	char path[256];
	uint64_t before;

	begin(&it, true);
	assert_int_equal(changes_within(&it, A_WHILE), 0);
	before = policy_fingerprint(it.dirs);
	fixture_write(it.dir, "a.conf", OBSERVE);
	fixture_write(it.dir, "b.conf", OBSERVE);
	assert_int_equal(changes_within(&it, SOON), 1);
	assert_int_equal(changes_within(&it, A_WHILE), 0);
	assert_true(policy_fingerprint(it.dirs) != before);

	/* The same again, and what is no policy file: a change in the directory, but not of what its files say. */
	before = policy_fingerprint(it.dirs);
	fixture_write(it.dir, "a.conf", OBSERVE);
	fixture_write(it.dir, ".a.conf.swp", OFF);
	assert_int_equal(changes_within(&it, SOON), 1);
	assert_true(policy_fingerprint(it.dirs) == before);

	snprintf(path, sizeof(path), "%s/b.conf", it.dir);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(changes_within(&it, SOON), 1);
	assert_true(policy_fingerprint(it.dirs) != before);
	end(&it);
}

/* What the kubelet does: a new directory, a new link to it, which takes the place of `..data` by one rename. */
static void test_config_map(void **state)
{
	struct watched it;
	char path[2][256];
	uint64_t before;

#define IN_DIR(n, name) (snprintf(path[n], sizeof(path[n]), "%s/%s", it.dir, name), path[n])
	begin(&it, true);
	assert_int_equal(mkdir(IN_DIR(0, "..first"), 0755), 0);
	fixture_write(path[0], "web.conf", OBSERVE);
	assert_int_equal(symlink("..first", IN_DIR(0, "..data")), 0);
	assert_int_equal(symlink("..data/web.conf", IN_DIR(0, "web.conf")), 0);
	assert_int_equal(changes_within(&it, SOON), 1);
	before = policy_fingerprint(it.dirs);

	assert_int_equal(mkdir(IN_DIR(0, "..second"), 0755), 0);
	fixture_write(path[0], "web.conf", OFF);
	assert_int_equal(symlink("..second", IN_DIR(0, "..data_tmp")), 0);
	assert_int_equal(changes_within(&it, SOON), 1);
	assert_true(policy_fingerprint(it.dirs) == before);
	assert_int_equal(rename(IN_DIR(0, "..data_tmp"), IN_DIR(1, "..data")), 0);
	assert_int_equal(changes_within(&it, SOON), 1);
	assert_true(policy_fingerprint(it.dirs) != before);
	end(&it);
}

/* A directory that is made, and one that takes its place, with all above it. */
static void test_directories(void **state)
{
	struct watched it;
	char above[128], aside[128];

	begin(&it, false);
	snprintf(above, sizeof(above), "%s/made", it.root);
	snprintf(aside, sizeof(aside), "%s/aside", it.root);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(mkdir(above, 0755) || mkdir(it.dir, 0755), 0);
		assert_int_equal(changes_within(&it, SOON), 1);
		fixture_write(it.dir, "a.conf", OBSERVE);
		assert_int_equal(changes_within(&it, SOON), 1);
		snprintf(aside, sizeof(aside), "%s/aside%d", it.root, i);
		assert_int_equal(rename(above, aside), 0);
		assert_int_equal(changes_within(&it, SOON), 1);
	}
	/* Other entries of the directories above concern nobody. */
	fixture_write(it.root, "other", OBSERVE);
	assert_int_equal(changes_within(&it, A_WHILE), 0);
	end(&it);
}

/* Changes without end do not put it off for ever. */
static void test_no_rest(void **state)
{
	struct watched it;
	uint64_t until = monotonic_us() + SOON;

	begin(&it, true);
	while (!it.changes && monotonic_us() < until) {
		fixture_write(it.dir, "a.conf", OBSERVE);
		assert_true(sd_event_run(it.event, SETTLE_US / 10) >= 0);
	}
	assert_int_equal(it.changes, 1);
	end(&it);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_config_map),
		cmocka_unit_test(test_directories),
		cmocka_unit_test(test_no_rest),
	};

	return cmocka_run_group_tests_name("policy_dirs", tests, NULL, NULL);
}
