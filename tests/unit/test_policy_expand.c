/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What patterns of control groups and names of pods stand for, on a machine made of directories. */
#include <stdio.h>
#include <sys/stat.h>

#include "policy/fixture.h"
#include "policy/expand.h"
#include "policy/strings.h"

#define UID "0f7a3b52-91de-4c0a-8e55-2d6b1c9f0a11"
#define UID_SLICE "0f7a3b52_91de_4c0a_8e55_2d6b1c9f0a11"
#define UID_DB "5e1c77aa-0000-4000-8000-00000000abcd"
#define UID_STATIC "d41d8cd98f00b204e9800998ecf8427e"
#define ID16 "0123456789abcdef"
#define ID ID16 ID16 ID16 ID16
#define ID_OTHER \
	"f" \
	"123456789abcdef" ID16 ID16 ID16

static char root[64], places[3][80];

static int begin(void **state)
{
	static const char *const names[] = { "cgroup", "containers", "pods" };

	fixture_directory(root);
	for (int i = 0; i < 3; i++) {
		snprintf(places[i], sizeof(places[i]), "%s/%s", root, names[i]);
		assert_int_equal(mkdir(places[i], 0755), 0);
	}
	expand_places = (struct expand_places){ places[0], places[1], places[2] };
	return 0;
}

static int end(void **state)
{
	fixture_remove(root);
	return 0;
}

/* With all above it. */
static void make(const char *below, const char *path)
{
	char command[1024];

	snprintf(command, sizeof(command), "mkdir -p '%s/%s%s'", root, below, path);
	assert_int_equal(system(command), 0);
}

static void drop(const char *path)
{
	char whole[512];

	snprintf(whole, sizeof(whole), "%s%s", root, path);
	assert_int_equal(rmdir(whole), 0);
}

static void container(const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", places[1], name);
	assert_int_equal(symlink("/nowhere", path), 0);
}

/* The paths of the rules of one policy with these lines, joined by spaces. */
static void check_paths(const char *lines, const char *expected)
{
	char text[512], got[2048] = "";
	struct policy_set *set;

	snprintf(text, sizeof(text), "[policy a]\nmode = off\n%s\n", lines);
	set = fixture_set(text);
	for (size_t i = 0; i < set->rule_count; i++) {
		assert_true(set->rule_cgroups[i]);
		snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%s", i ? " " : "",
			 set->cgroups[set->rule_cgroups[i] - 1].path);
	}
	assert_string_equal(got, expected);
	assert_false(policy_expansion_differs(set));
	policy_set_free(set);
}

static void test_patterns(void **state)
{
	make("cgroup", "/system.slice/web-1.service/inner");
	make("cgroup", "/system.slice/web-2.service");
	make("cgroup", "/system.slice/db.service/inner");
	make("cgroup", "/a.slice/b\\x2dc.service");
	fixture_write(places[0], "web-3.service", "");
	check_paths("cgroups = /system.slice/web-*", "/system.slice/web-1.service /system.slice/web-2.service");
	check_paths("cgroups = /*/web-[!1].service", "/system.slice/web-2.service");
	check_paths("cgroups = /*/*/inner", "/system.slice/db.service/inner /system.slice/web-1.service/inner");
	check_paths("cgroups = /web-*", ""); /* a file */
	check_paths("cgroups = /a.slice/b\\x2d*", "/a.slice/b\\x2dc.service");
	/* One that nothing matches is not one that everything does; nor does it take others with it. */
	check_paths("cgroups = /none-*", "");
	check_paths("cgroups = /none-*, /later", "/later");
	/* Once, however often it is named. */
	check_paths("cgroups = /system.slice/web-1*, /system.slice/*-1.service, /system.slice/web-1.service",
		    "/system.slice/web-1.service");
}

static void test_pods(void **state)
{
	make("pods", "/shop_web-7d9_" UID);
	make("pods", "/shop_db-0_" UID_DB);
	make("pods", "/kube-system_etcd-node1_" UID_STATIC);
	make("pods", "/not a pod");
	make("cgroup", "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" UID_SLICE
		       ".slice/cri-containerd-" ID ".scope");
	make("cgroup", "/kubepods/besteffort/pod" UID_DB "/" ID);
	make("cgroup", "/kubepods/pod" UID_STATIC);
	container("web-7d9_shop_nginx-" ID ".log");
	container("lone_other_app-" ID_OTHER ".log");
	make("cgroup", "/machine.slice/crio-" ID_OTHER ".scope");
	container("short_other_app-0123.log");
	check_paths("pods = shop/web-*",
		    "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" UID_SLICE ".slice");
	check_paths("pods = shop/db-0", "/kubepods/besteffort/pod" UID_DB);
	check_paths("pods = kube-system/*", "/kubepods/pod" UID_STATIC);
	/* Only the container is known. */
	check_paths("pods = other/*", "/machine.slice/crio-" ID_OTHER ".scope");
	check_paths("pods = shop/web", "");
	check_paths("pods = shop/none-*", "");
	check_paths("pods = shop/none-*, shop/db-*\ncgroups = /x", "/kubepods/besteffort/pod" UID_DB " /x");
	/* A star does not go beyond the namespace. */
	check_paths("pods = s*/db-0, */web-7d9",
		    "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" UID_SLICE
		    ".slice /kubepods/besteffort/pod" UID_DB);
}

/* Without the directories of logs, a pod is known by its containers. */
static void test_containers_alone(void **state)
{
	make("cgroup", "/kubepods/burstable/pod" UID "/" ID);
	make("cgroup", "/kubepods/burstable/pod" UID "/" ID_OTHER);
	container("web-7d9_shop_nginx-" ID ".log");
	container("web-7d9_shop_helper-" ID_OTHER ".log");
	expand_places.pods = "/nonexistent";
	check_paths("pods = shop/web-*",
		    "/kubepods/burstable/pod" UID "/" ID " /kubepods/burstable/pod" UID "/" ID_OTHER);
}

static void test_follows(void **state)
{
	struct policy_set *set, *again;
	struct policy_strings dirs;
	struct fault fault;

	make("cgroup", "/kubepods/burstable");
	set = fixture_set("[policy a]\nmode = off\npods = shop/web-*\n[policy b]\nmode = off\ncgroups = /s/w-*/x\n");
	assert_int_equal(set->rule_count, 0);
	policy_expansion_dirs(set, &dirs);
	/* Those that do not exist yet too: the watch looks at what is above them. */
	assert_int_equal(dirs.count, 3);
	assert_string_equal(dirs.list[0] + strlen(root), "/cgroup/s");
	strings_free(&dirs);
	make("cgroup", "/kubepods/burstable/pod" UID);
	assert_false(policy_expansion_differs(set)); /* nobody knows its name */
	make("pods", "/shop_web-1_" UID);
	assert_true(policy_expansion_differs(set));
	assert_int_equal(policy_load_over(&again, set, NULL, NULL, &fault), 0);
	assert_int_equal(again->rule_count, 1);
	assert_false(policy_expansion_differs(again));
	policy_set_free(set);
	set = again;
	policy_expansion_dirs(set, &dirs);
	assert_int_equal(dirs.count, 4);
	strings_free(&dirs);
	make("cgroup", "/s/w-1");
	assert_false(policy_expansion_differs(set));
	policy_expansion_dirs(set, &dirs);
	assert_int_equal(dirs.count, 5);
	strings_free(&dirs);
	make("cgroup", "/s/w-1/x");
	assert_true(policy_expansion_differs(set));
	drop("/cgroup/s/w-1/x");
	assert_false(policy_expansion_differs(set));
	drop("/cgroup/kubepods/burstable/pod" UID);
	assert_true(policy_expansion_differs(set));
	policy_set_free(set);
	set = fixture_set("[policy a]\nmode = off\ncgroups = /a\n");
	policy_expansion_dirs(set, &dirs);
	assert_int_equal(dirs.count, 0);
	strings_free(&dirs);
	policy_set_free(set);
}

static void check_refused(const char *line, const char *says)
{
	char directory[64], text[256], *files[1];
	struct policy_set *set;
	struct fault fault;

	fixture_directory(directory);
	snprintf(text, sizeof(text), "[policy a]\nmode = off\n%s\n", line);
	files[0] = (char *)fixture_write(directory, "test.conf", text);
	assert_int_equal(policy_load_files(&set, files, 1, NULL, &fault), -1);
	assert_non_null(strstr(fault.text, says));
	fixture_remove(directory);
}

static void test_refused(void **state)
{
	check_refused("pods = web", "\"web\" is not NAMESPACE/NAME");
	check_refused("pods = /web", "is not NAMESPACE/NAME");
	check_refused("pods = shop/", "is not NAMESPACE/NAME");
	check_refused("pods = shop/web/nginx", "is not NAMESPACE/NAME");
	check_refused("pods = Shop/web_1", "is not NAMESPACE/NAME");
	check_refused("pods = shop/web, shop/web", "listed twice");
	check_refused("cgroups = a/*", "is not a path");
	check_refused("ports = 80\nsteer = af_xdp\ninterface = lo\npods = shop/web", "pods beside steer");
}

#define WITH_MACHINE(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_MACHINE(test_patterns), WITH_MACHINE(test_pods),	 WITH_MACHINE(test_containers_alone),
		WITH_MACHINE(test_follows),  WITH_MACHINE(test_refused),
	};

	return cmocka_run_group_tests_name("policy_expand", tests, NULL, NULL);
}
