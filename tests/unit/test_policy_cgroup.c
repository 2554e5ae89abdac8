/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Where cgroup v2 is found, and that cgroups which come and go are noticed. */
#include <sys/stat.h>

#include "policy/fixture.h"
#include "lib/cgroup.h"
#include "policy/cgroup_watch.h"

static void check_root(const char *mountinfo, const char *expected)
{
	char directory[64], *found;

	fixture_directory(directory);
	found = cgroup_root_from(fixture_write(directory, "mountinfo", mountinfo));
	if (expected)
		assert_string_equal(found, expected);
	else
		assert_null(found);
	free(found);
	fixture_remove(directory);
}

static void test_roots(void **state)
{
	check_root("22 28 0:20 / /proc rw - proc proc rw\n"
		   "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n",
		   "/sys/fs/cgroup");
	check_root("31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
		   "32 31 0:29 / /sys/fs/cgroup/cpu rw shared:1 master:2 - cgroup cgroup rw,cpu\n"
		   "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
		   "/sys/fs/cgroup/unified");
	check_root("41 31 0:38 / /mnt/with\\040space\\011tab rw - cgroup2 none rw\n", "/mnt/with space\ttab");
	check_root("30 23 0:26 / /mnt/own rw - cgroup2 none rw\n"
		   "31 23 0:27 / /mnt/next rw - cgroup2 none rw\n",
		   "/mnt/own");
	check_root("32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n", NULL);
	check_root("32 31 0:29 / /mnt/a rw - ext4 /dev/cgroup2 rw\n", NULL);
	check_root(" - cgroup2 cgroup2 rw\n", NULL);
	assert_null(cgroup_root_from("/nonexistent"));
}

/* A container's own part comes first, then the machine's that it was given; it is this machine's here. */
static void test_given_root(void **state)
{
	struct fault fault;
	const char *root = cgroup_root(&fault);
	char mountinfo[4096];

	if (!root || !cgroup_is_root(root))
		skip();
	assert_false(cgroup_is_root("/"));
	snprintf(mountinfo, sizeof(mountinfo),
		 "30 23 0:26 / /mnt/own rw - cgroup2 none rw\n31 23 0:26 / %s rw - cgroup2 none rw\n"
		 "32 23 0:26 / /mnt/later rw - cgroup2 none rw\n",
		 root);
	check_root(mountinfo, root);
}

/* On a machine with cgroup v2, the id is the one that the kernel's file handle of the directory holds. */
static void test_id(void **state)
{
	struct {
		struct file_handle handle;
		uint64_t id;
	} of = { .handle.handle_bytes = sizeof(of.id) };
	struct fault fault;
	const char *root = cgroup_root(&fault);
	int mount;

	assert_int_equal(cgroup_id("/nonexistent"), 0);
	assert_int_equal(cgroup_id("/proc/self/stat"), 0);
	if (!root) {
		assert_int_equal(fault.exit_code, EXIT_UNSUPPORTED);
		skip();
	}
	if (name_to_handle_at(AT_FDCWD, root, &of.handle, &mount, 0))
		skip();
	assert_int_equal(cgroup_id(root), of.id);
}

static void count_change(void *context)
{
	++*(int *)context;
}

/* Runs the loop until nothing is left to do; inotify events are there when the call that causes them returns. */
static void settle(sd_event *event)
{
	int result;

	while ((result = sd_event_run(event, 0)) > 0)
		;
	assert_int_equal(result, 0);
}

static void test_watch(void **state)
{
	struct policy_set *set = fixture_set("[policy a]\nmode = off\ncgroups = /a.slice/b.service, /c\n");
	struct policy_set *other = fixture_set("[policy a]\nmode = off\ncgroups = /other\n");
	char root[64], path[128];
	struct cgroup_watch *watch;
	struct fault fault;
	sd_event *event;
	int changes = 0;

	fixture_directory(root);
	assert_true(sd_event_new(&event) >= 0);
	assert_int_equal(cgroup_watch_new(&watch, event, root, count_change, &changes, &fault), 0);
	assert_int_equal(cgroup_watch_set(watch, set, &fault), 0);

#define IN_ROOT(name) (snprintf(path, sizeof(path), "%s/%s", root, name), path)
	assert_int_equal(mkdir(IN_ROOT("unrelated"), 0755), 0);
	assert_int_equal(mkdir(IN_ROOT("a.slic"), 0755), 0);
	settle(event);
	assert_int_equal(changes, 0);

	assert_int_equal(mkdir(IN_ROOT("a.slice"), 0755), 0);
	settle(event);
	assert_int_equal(changes, 1);
	assert_int_equal(mkdir(IN_ROOT("a.slice/b.service"), 0755), 0); /* seen only if a.slice was put under watch */
	settle(event);
	assert_int_equal(changes, 2);
	assert_int_equal(policy_resolve_cgroups_at(set, root), 1);
	/* One that is not there has the id of none, or its rules would hold for all. */
	assert_int_equal(set->rules[0].cgroup, cgroup_id(path));
	assert_int_equal(set->rules[1].cgroup, AC_CGROUP_UNRESOLVED);
	assert_int_equal(policy_resolve_cgroups_at(set, root), 0);
	assert_int_equal(rmdir(IN_ROOT("a.slice/b.service")), 0);
	settle(event);
	assert_int_equal(changes, 3);
	assert_int_equal(policy_resolve_cgroups_at(set, root), 1);
	assert_int_equal(set->rules[0].cgroup, AC_CGROUP_UNRESOLVED);
	assert_int_equal(rmdir(IN_ROOT("a.slice")), 0);
	settle(event);
	assert_int_equal(mkdir(IN_ROOT("a.slice"), 0755), 0);
	assert_int_equal(mkdir(IN_ROOT("a.slice/b.service"), 0755), 0); /* before the watch on a.slice is there */
	settle(event);
	assert_int_equal(policy_resolve_cgroups_at(set, root), 1);

	changes = 0;
	assert_int_equal(cgroup_watch_set(watch, other, &fault), 0);
	assert_int_equal(mkdir(IN_ROOT("c"), 0755), 0);
	settle(event);
	assert_int_equal(changes, 0);
	assert_int_equal(mkdir(IN_ROOT("other"), 0755), 0);
	settle(event);
	assert_int_equal(changes, 1);

	cgroup_watch_free(watch);
	sd_event_unref(event);
	policy_set_free(set);
	policy_set_free(other);
	fixture_remove(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_roots),
		cmocka_unit_test(test_given_root),
		cmocka_unit_test(test_id),
		cmocka_unit_test(test_watch),
	};

	return cmocka_run_group_tests_name("policy_cgroup", tests, NULL, NULL);
}
