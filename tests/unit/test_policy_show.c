/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What is shown of a policy set: JSON, its text, and why a flow falls under a policy. */
#include "policy/fixture.h"
#include "lib/json.h"
#include "policy/explain.h"

static const char *member(const json_t *object, const char *a, const char *b)
{
	return json_member_text(json_object_get(object, a), b);
}

__attribute__((noinline)) static char *printed(const json_t *shown, bool origin)
{
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	policy_show_print(out, shown, origin);
	fclose(out);
	return text;
}

static void test_show(void **state)
{
	struct policy_set *set = fixture_set("[policy web]\nports = 443, 80\nprograms = a, b\n\nmode = autocork\n"
					     "cgroups = /no/such/group\n[agent]\nbudget = 2%\n");
	json_t *shown = policy_show_json(set), *policies = json_object_get(shown, "policies"), *web, *keys, *cgroup;
	char *text;

	assert_int_equal(json_array_size(policies), 2);
	assert_string_equal(json_member_text(json_array_get(policies, 0), "name"), "built-in");
	assert_string_equal(json_member_text(json_array_get(policies, 0), "origin"), "default");
	web = json_array_get(policies, 1);
	keys = json_object_get(web, "keys");
	assert_int_equal(json_number(web, "number"), 1);
	assert_int_equal(json_number(web, "rules"), 2);
	assert_non_null(strstr(json_member_text(web, "origin"), "test.conf:1"));
	assert_string_equal(member(keys, "ports", "value"), "80, 443");
	assert_non_null(strstr(member(keys, "ports", "origin"), "test.conf:2"));
	assert_non_null(strstr(member(keys, "mode", "origin"), "test.conf:5"));
	assert_string_equal(member(keys, "max_hold", "value"), "2ms");
	assert_string_equal(member(keys, "max_hold", "origin"), "default");
	assert_string_equal(member(json_object_get(shown, "agent"), "budget", "value"), "2%");
	assert_string_equal(member(json_object_get(shown, "fastpath"), "job", "value"), "coalesce");
	cgroup = json_array_get(json_object_get(shown, "cgroups"), 0);
	assert_string_equal(json_member_text(cgroup, "path"), "/no/such/group");
	assert_true(json_is_false(json_object_get(cgroup, "exists")));

	text = printed(shown, false);
	assert_non_null(strstr(text, "[policy web]\nports      = 80, 443\n"));
	assert_null(strstr(text, "max_hold"));
	assert_non_null(strstr(text, "cgroup /no/such/group does not exist"));
	free(text);
	text = printed(shown, true);
	assert_non_null(strstr(text, "max_hold     = 2ms                      ; default\n"));
	assert_non_null(strstr(text, "test.conf:5\n"));
	free(text);
	json_decref(shown);
	policy_set_free(set);
}

/* What is printed, with origins or without, is a file that says the same. */
static void test_printed_is_valid(void **state)
{
	struct policy_set *set =
		fixture_set("[policy a]\nmode = off\nprograms = x, y*\nsteer = none\ninterface = eth0\n"
			    "[policy b]\nports = 1-9\nside = client\nmode = observe\nmax_hold = 1ms\n");

	for (int origin = 0; origin < 2; origin++) {
		json_t *shown = policy_show_json(set);
		char *text = printed(shown, origin);
		/* The built-in policy is told, not set: it has no keys of its own to repeat. */
		struct policy_set *again = fixture_set(strstr(text, "[policy a]"));

		assert_int_equal(again->rule_count, set->rule_count);
		assert_memory_equal(again->rules, set->rules, set->rule_count * sizeof(*set->rules));
		assert_memory_equal(again->policies, set->policies, set->policy_count * sizeof(*set->policies));
		policy_set_free(again);
		free(text);
		json_decref(shown);
	}
	policy_set_free(set);
}

static void test_check(void **state)
{
	char *files[] = { "tests/unit/policy/bad/agent3.conf", "tests/unit/policy/good/\xff.conf" };
	struct policy_errors errors;
	struct fault fault;
	json_t *checked, *list;

	assert_int_equal(policy_check_files(files, 2, &errors, &fault), -1);
	checked = policy_check_json(files, 2, &errors);
	assert_non_null(checked);
	list = json_object_get(checked, "errors");
	assert_true(json_is_false(json_object_get(checked, "valid")));
	assert_int_equal(json_array_size(json_object_get(checked, "files")), 2);
	assert_int_equal(json_array_size(list), 2);
	assert_int_equal(json_number(json_array_get(list, 0), "line"), 2);
	assert_string_equal(json_member_text(json_array_get(list, 1), "file"), "tests/unit/policy/good/\\xff.conf");
	assert_int_equal(json_number(json_array_get(list, 1), "line"), 0);
	json_decref(checked);
	policy_errors_free(&errors);

	assert_int_equal(policy_check_files(files, 0, &errors, &fault), 0);
	checked = policy_check_json(files, 0, &errors);
	assert_true(json_is_true(json_object_get(checked, "valid")));
	json_decref(checked);
}

/* "policy: because because … yes" */
static void check_explained(const struct policy_set *set, const char *flow, const char *expected)
{
	char said[1024];
	struct fault fault;
	json_t *explained, *entry;
	size_t index;

	if (policy_explain(set, flow, &explained, &fault))
		fail_msg("%s: %s", flow, fault.text);
	snprintf(said, sizeof(said), "%s:", json_member_text(explained, "policy"));
	json_array_foreach(json_object_get(explained, "considered"), index, entry) {
		bool matches = json_is_true(json_object_get(entry, "matches"));

		snprintf(said + strlen(said), sizeof(said) - strlen(said), " %s=%s", json_member_text(entry, "policy"),
			 matches ? "yes" : json_member_text(entry, "because"));
	}
	if (strcmp(said, expected))
		fail_msg("%s: \"%s\" instead of \"%s\"", flow, said, expected);
	json_decref(explained);
}

static void test_explain(void **state)
{
	struct policy_set *set = fixture_set("[policy net]\npeers = 10.0.0.0/8, fd00::/8\nmode = off\n"
					     "[policy group]\ncgroups = /a, /b\nmode = off\n"
					     "[policy prog]\nprograms = nginx, redis*\nmode = off\n"
					     "[policy port]\nports = 80\nside = server\nmode = autocork\n");
	char root[64], path[96];

	fixture_directory(root);
	snprintf(path, sizeof(path), "%s/a", root);
	assert_int_equal(mkdir(path, 0755), 0);
	policy_resolve_cgroups_at(set, root);

	check_explained(set, "port=80", "port: net=peers group=cgroups prog=programs port=yes");
	check_explained(set, "port=81", "built-in: net=peers group=cgroups prog=programs");
	check_explained(set, "port=80 side=client", "built-in: net=peers group=cgroups prog=programs port=side");
	check_explained(set, "port=80, peer=fd00::1", "net: net=yes");
	check_explained(set, "peer=11.0.0.1 port=80 program=redis-server", "prog: net=peers group=cgroups prog=yes");
	check_explained(set, "port=80 cgroup=/a/x.service", "group: net=peers group=yes");
	check_explained(set, "port=80 cgroup=/ax", "port: net=peers group=cgroups prog=programs port=yes");
	policy_set_free(set);
	fixture_remove(root);
}

static void test_explain_many(void **state)
{
	struct policy_set *set;
	struct fault fault;
	json_t *explained;
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	for (int i = 0; i < 250; i++)
		fprintf(out, "[policy p%d]\nports = 443\npeers = 10.%d.0.0/16, 11.%d.0.0/16\nmode = off\n", i, i, i);
	fprintf(out, "[policy rest]\nmode = off\n");
	fclose(out);
	set = fixture_set(text);
	assert_int_equal(policy_explain(set, "port=443 peer=12.0.0.1", &explained, &fault), 0);
	assert_string_equal(json_member_text(explained, "policy"), "rest");
	assert_int_equal(json_array_size(json_object_get(explained, "considered")), EXPLAIN_MAX + 1);
	assert_int_equal(json_number(explained, "more"), 150);
	json_decref(explained);
	policy_set_free(set);
	free(text);
}

static void test_explain_refuses(void **state)
{
	static const char *const bad[] = {
		"",	  "port=0", "port=65536", "port=all", "port=1-2", "side=any port=1", "peer=10.0.0.0/8",
		"peer=x", "foo=1",  "port",	  "port=",    "=",	  "cgroup=relative", "cgroup=/a/../b"
	};
	struct policy_set *set = fixture_set("");

	for (size_t i = 0; i < AC_ARRAY_SIZE(bad); i++) {
		struct fault fault = { EXIT_OK };
		json_t *explained = NULL;

		assert_int_equal(policy_explain(set, bad[i], &explained, &fault), -1);
		assert_int_equal(fault.exit_code, EXIT_USAGE);
		assert_non_null(strstr(fault.text, "port=443 side=server"));
		assert_null(explained);
	}
	policy_set_free(set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_show),	     cmocka_unit_test(test_printed_is_valid),
		cmocka_unit_test(test_check),	     cmocka_unit_test(test_explain),
		cmocka_unit_test(test_explain_many), cmocka_unit_test(test_explain_refuses),
	};

	return cmocka_run_group_tests_name("policy_show", tests, NULL, NULL);
}
