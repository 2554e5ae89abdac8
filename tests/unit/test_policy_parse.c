/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Policy files: good ones give the values they say, bad ones every error they are annotated with, and drop-ins merge.
 */
#include <arpa/inet.h>
#include <glob.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "lib/paths.h"
#include "policy/fixture.h"
#include "policy/keys.h"

/* A line that ends in ";! TEXT" must give exactly one error, which starts with or holds TEXT; every other line none. */
static void check_annotated(const char *path)
{
	char *files[] = { (char *)path }, *line = NULL;
	struct policy_errors errors;
	struct fault fault;
	size_t size = 0, next = 0;
	FILE *file = fopen(path, "re");

	assert_non_null(file);
	assert_int_equal(policy_check_files(files, 1, &errors, &fault), -1);
	assert_int_equal(fault.exit_code, EXIT_CONFIG);
	for (int number = 1; getline(&line, &size, file) > 0; number++) {
		const char *expected = strstr(line, ";! ");
		const struct policy_error *error = next < errors.count ? &errors.list[next] : NULL;

		line[strcspn(line, "\n")] = '\0';
		if (error && error->line == number && !expected)
			fail_msg("%s:%d: not expected: %s", path, number, error->what);
		if (!expected)
			continue;
		if (!error || error->line != number)
			fail_msg("%s:%d: no error, expected %s", path, number, expected + 3);
		assert_string_equal(error->file, path);
		if (!strstr(error->what, expected + 3))
			fail_msg("%s:%d: \"%s\" is not in \"%s\"", path, number, expected + 3, error->what);
		next++;
	}
	assert_int_equal(next, errors.count);
	assert_non_null(strstr(fault.text, errors.list[0].what));
	policy_errors_free(&errors);
	free(line);
	fclose(file);
}

static void test_bad_files(void **state)
{
	glob_t found;

	assert_int_equal(glob("tests/unit/policy/bad/*.conf", 0, NULL, &found), 0);
	assert_true(found.gl_pathc >= 7);
	for (size_t i = 0; i < found.gl_pathc; i++)
		check_annotated(found.gl_pathv[i]);
	globfree(&found);
}

static struct policy_set *load_good(const char *path)
{
	char *files[] = { (char *)path };
	struct policy_set *set;
	struct fault fault;

	if (policy_load_files(&set, files, 1, NULL, &fault))
		fail_msg("%s", fault.text);
	return set;
}

static void test_issue_example(void **state)
{
	struct policy_set *set = load_good("tests/unit/policy/good/web.conf");
	const struct policy_config *web = &set->origins[1].config;

	assert_int_equal(set->policy_count, 2);
	assert_string_equal(set->origins[1].name, "web");
	assert_int_equal(web->ports.count, 3);
	assert_int_equal(web->ports.list[2].first, 8000);
	assert_int_equal(web->ports.list[2].last, 8099);
	assert_string_equal(web->programs.list[1], "gunicorn");
	assert_int_equal(web->peers.count, 2);
	assert_int_equal(set->policies[1].mode, AC_MODE_AUTOCORK);
	assert_int_equal(set->policies[1].adopt, 1);
	assert_int_equal(set->policies[1].need_max, 50);
	assert_int_equal(set->policies[1].max_hold_us, 2000);
	assert_int_equal(set->policies[1].burst_gap_us, 200);
	assert_int_equal(set->policies[1].rto_min_us, 0);
	assert_int_equal(set->policies[1].packet_worth_us, 40);
	assert_int_equal(set->rule_count, 2 * 1 * 2);
	assert_true(set->origins[1].ruled);
	policy_set_free(set);
}

static void test_steer_example(void **state)
{
	struct policy_set *set = load_good("tests/unit/policy/good/trading.conf");
	const struct policy_origin *trading = fixture_policy(set, "trading");

	assert_int_equal(trading->config.steer, POLICY_STEER_AF_XDP);
	assert_string_equal(trading->config.interface, "eth1");
	assert_int_equal(trading->config.queues.count, 0);
	assert_int_equal(trading->config.direction, POLICY_DIRECTION_IN);
	assert_int_equal(trading->config.protocol, POLICY_PROTOCOL_TCP);
	assert_false(trading->ruled); /* no mode: where its flows reach the kernel, other policies say what is done */
	assert_int_equal(set->rule_count, 0);
	policy_set_free(set);
}

static void test_every_key(void **state)
{
	struct policy_set *set = load_good("tests/unit/policy/good/agent.conf");
	const struct policy_origin *all = fixture_policy(set, "all-keys");
	const struct policy_config *config = &all->config;
	const struct sockaddr_in6 *address = (const void *)&set->agent.metrics.address;

	assert_true(set->agent.budget > 0.0249 && set->agent.budget < 0.0251);
	assert_int_equal(address->sin6_family, AF_INET6);
	assert_int_equal(address->sin6_port, 0);
	assert_int_equal(set->agent.metrics.length, sizeof(*address));
	assert_int_equal(set->agent.series, POLICY_SERIES_ALL);
	assert_int_equal(set->fastpath.job, POLICY_JOB_REFLECT);
	assert_int_equal(set->fastpath.hold_us, 50);
	assert_string_equal(set->fastpath.interfaces.list[1], "eth2.100");

	assert_int_equal(config->ports.count, 4);
	assert_int_equal(config->ports.list[1].first, 5); /* sorted */
	assert_int_equal(config->ports.list[2].last, 10);
	assert_int_equal(config->side, AC_SIDE_CLIENT);
	assert_string_equal(config->programs.list[2], "[]-]");
	assert_string_equal(config->cgroups.list[0], "/a/b");
	assert_string_equal(config->pods.list[0], "shop/web-*");
	assert_int_equal(config->peers.count, 4);
	assert_int_equal(config->max_hold_us, 1500);
	assert_int_equal(config->burst_gap_us, 1000000);
	assert_int_equal(config->rto_min_us, 62500);
	assert_int_equal(config->packet_worth_us, 10000);
	assert_int_equal(set->policies[all - set->origins].rto_min_us, 62500);
	assert_true(config->adopt);
	assert_int_equal(config->queues.count, 2);
	assert_int_equal(config->direction, POLICY_DIRECTION_ANY);
	assert_int_equal(config->protocol, POLICY_PROTOCOL_UDP);
	assert_true(config->transit);
	assert_int_equal(config->removal, POLICY_REMOVAL_MOVE);
	for (size_t i = 0; i < policy_section_kind(POLICY_SECTION_POLICY)->key_count; i++)
		assert_non_null(all->places[i].file);
	policy_set_free(set);
}

static void test_defaults(void **state)
{
	struct policy_set *set = load_good("tests/unit/policy/good/empty.conf");

	assert_int_equal(set->policy_count, 1);
	assert_int_equal(set->policies[0].mode, AC_MODE_OBSERVE);
	assert_string_equal(set->origins[0].name, "built-in");
	assert_true(set->agent.budget > 0.0099 && set->agent.budget < 0.0101);
	assert_string_equal(set->agent.metrics.text, AUTOCORK_METRICS);
	assert_int_equal(set->fastpath.job, POLICY_JOB_COALESCE);
	policy_set_free(set);
	set = fixture_set("[agent]\nbudget = off\nmetrics = off\n");
	assert_true(set->agent.budget == 0);
	assert_int_equal(set->agent.metrics.length, 0);
	policy_set_free(set);
	set = fixture_set("[agent]\nmetrics = /run/autocork/metrics.sock\n");
	assert_int_equal(set->agent.metrics.address.ss_family, AF_UNIX);
	assert_string_equal(set->agent.metrics.text, "/run/autocork/metrics.sock");
	policy_set_free(set);
}

static void test_line_ends(void **state)
{
	struct policy_set *set = load_good("tests/unit/policy/good/crlf.conf");

	assert_int_equal(set->policy_count, 3);
	assert_int_equal(fixture_policy(set, "bom")->line, 1);
	assert_int_equal(fixture_policy(set, "last")->line, 5);
	assert_int_equal(set->policies[2].mode, AC_MODE_OBSERVE);
	policy_set_free(set);
}

/* Every value, written out and read again, stays the same: `policy show` is a valid file. */
static void test_round_trip(void **state)
{
	struct policy_set *set = load_good("tests/unit/policy/good/agent.conf");
	const struct {
		enum policy_section section;
		const void *values;
	} all[] = {
		{ POLICY_SECTION_POLICY, &fixture_policy(set, "all-keys")->config },
		{ POLICY_SECTION_POLICY, &set->origins[0].config },
		{ POLICY_SECTION_AGENT, &set->agent },
		{ POLICY_SECTION_FASTPATH, &set->fastpath },
	};

	for (size_t i = 0; i < AC_ARRAY_SIZE(all); i++) {
		const struct policy_section_kind *kind = policy_section_kind(all[i].section);
		void *copy = calloc(1, kind->size);

		for (size_t k = 0; k < kind->key_count; k++) {
			char *text = policy_key_text(&kind->keys[k], all[i].values), *again;

			assert_null(policy_key_set(&kind->keys[k], copy, *text ? text : NULL));
			again = policy_key_text(&kind->keys[k], copy);
			assert_string_equal(again, text);
			free(again);
			free(text);
		}
		policy_values_clear(all[i].section, copy);
		free(copy);
	}
	policy_set_free(set);
}

static void test_drop_ins(void **state)
{
	char root[64], usr[80], run[80], etc[80];
	const char *const dirs[] = { usr, run, etc, NULL };
	const struct policy_origin *web;
	struct policy_set *set;
	struct fault fault;

	fixture_directory(root);
	snprintf(usr, sizeof(usr), "%s/usr", root);
	snprintf(run, sizeof(run), "%s/run", root);
	snprintf(etc, sizeof(etc), "%s/etc", root);
	for (size_t i = 0; dirs[i]; i++)
		assert_int_equal(mkdir(dirs[i], 0755), 0);
	fixture_write(usr, "50-web.conf",
		      "[policy web]\nports = 80\nprograms = nginx, gunicorn\nmode = observe\nmax_hold = 1ms\n");
	fixture_write(usr, "60-masked.conf", "[policy masked]\nnonsense\n");
	fixture_write(usr, "70-null.conf", "[policy null]\nmode = off\n");
	fixture_write(usr, ".90-hidden.conf", "nonsense\n");
	fixture_write(usr, "90-backup.conf~", "nonsense\n");
	fixture_write(run, "60-masked.conf", "[policy seen]\nmode = off\n");
	fixture_write(run, "40-first.conf", "[policy first]\nmode = off\n");
	fixture_write(etc, "55-local.conf", "\n[policy web]\nmode = autocork\nprograms = caddy\nmax_hold =\n");
	assert_int_equal(symlink("/dev/null", strcat(strcpy(usr, etc), "/70-null.conf")), 0);
	snprintf(usr, sizeof(usr), "%s/usr", root);

	if (policy_load(&set, dirs, NULL, &fault))
		fail_msg("%s", fault.text);
	assert_int_equal(set->policy_count, 4);
	assert_string_equal(set->origins[1].name, "first");
	assert_string_equal(set->origins[2].name, "web");
	assert_string_equal(set->origins[3].name, "seen");
	web = &set->origins[2];
	assert_int_equal(web->config.mode, AC_MODE_AUTOCORK);
	assert_int_equal(web->config.ports.list[0].first, 80);
	assert_int_equal(web->config.programs.count, 1);
	assert_string_equal(web->config.programs.list[0], "caddy");
	assert_int_equal(web->config.max_hold_us, 2000);
	assert_non_null(strstr(web->file, "/etc/55-local.conf"));
	assert_int_equal(web->line, 2);
	assert_non_null(strstr(web->places[policy_key_find(POLICY_SECTION_POLICY, "ports")].file, "/usr/50-web.conf"));
	assert_int_equal(web->places[policy_key_find(POLICY_SECTION_POLICY, "ports")].line, 2);
	assert_non_null(strstr(web->places[policy_key_find(POLICY_SECTION_POLICY, "mode")].file, "/etc/55-local.conf"));
	assert_null(web->places[policy_key_find(POLICY_SECTION_POLICY, "max_hold")].file);
	policy_set_free(set);
	fixture_remove(root);
}

static void test_directories(void **state)
{
	static const char *const devices[] = { "/dev/zero", "/dev/full", "/dev/random", "/dev/ptmx" };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd;
	char root[64], path[96];
	const char *const missing[] = { "/nonexistent/policy.d", NULL };
	const char *const dirs[] = { root, NULL };
	struct policy_errors errors;
	struct policy_set *set = (void *)1;
	struct fault fault;

	assert_int_equal(policy_load(&set, missing, &errors, &fault), -1);
	assert_null(set);
	assert_int_equal(errors.count, 1);
	assert_string_equal(fault.text, "/nonexistent/policy.d: cannot be read: No such file or directory: "
					"allowed is a readable directory");
	policy_errors_free(&errors);

	fixture_directory(root);
	assert_int_equal(policy_load(&set, dirs, NULL, &fault), 0); /* empty: the built-in default */
	assert_int_equal(set->policy_count, 1);
	policy_set_free(set);

	/* Neither a directory nor a FIFO that nobody writes to can hang or confuse a reload. */
	snprintf(path, sizeof(path), "%s/10-directory.conf", root);
	assert_int_equal(mkdir(path, 0755), 0);
	snprintf(path, sizeof(path), "%s/20-fifo.conf", root);
	assert_int_equal(mkfifo(path, 0644), 0);
	snprintf(path, sizeof(path), "%s/30-dangling.conf", root);
	assert_int_equal(symlink("/nonexistent", path), 0);
	/* Of devices only the one that says "nothing" may be named. */
	for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++) {
		snprintf(path, sizeof(path), "%s/4%zu-device.conf", root, i);
		assert_int_equal(symlink(devices[i], path), 0);
	}
	snprintf(path, sizeof(path), "%s/50-socket.conf", root);
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	assert_int_equal(policy_load(&set, dirs, &errors, &fault), -1);
	assert_int_equal(errors.count, 3 + sizeof(devices) / sizeof(devices[0]) + 1);
	for (size_t i = 3; i < errors.count; i++)
		assert_non_null(strstr(errors.list[i].what, "not a file"));
	assert_non_null(strstr(errors.list[0].what, "not a file"));
	assert_non_null(strstr(errors.list[1].what, "not a file"));
	assert_non_null(strstr(errors.list[2].what, "cannot be read: No such file"));
	policy_errors_free(&errors);
	fixture_remove(root);
}

static void test_broken_bytes(void **state)
{
	char root[64], path[96], *files[] = { path }, *line;
	const size_t long_line = 300 << 10;
	struct policy_errors errors;
	struct fault fault;
	FILE *file;

	fixture_directory(root);
	snprintf(path, sizeof(path), "%s/test.conf", root);
	file = fopen(path, "we");
	line = malloc(long_line);
	memset(line, 'x', long_line);
	fputs("[policy a]\nmode = off\n", file);
	fwrite(line, 1, long_line, file);
	fputs("\nmo", file);
	fputc('\0', file);
	fputs("de = off\n\x1b[31m = \xff\n", file);
	fclose(file);
	free(line);
	assert_int_equal(policy_check_files(files, 1, &errors, &fault), -1);
	assert_int_equal(errors.count, 3);
	assert_int_equal(errors.list[0].line, 3);
	assert_non_null(strstr(errors.list[0].what, "line too long"));
	assert_int_equal(errors.list[1].line, 4);
	assert_non_null(strstr(errors.list[1].what, "a NUL byte"));
	assert_int_equal(errors.list[2].line, 5);
	assert_null(strchr(errors.list[2].what, '\x1b'));
	policy_errors_free(&errors);
	fixture_remove(root);
}

static void test_unreadable(void **state)
{
	char *files[] = { "/nonexistent.conf" };
	struct fault fault;

	assert_int_equal(policy_check_files(files, 1, NULL, &fault), -1);
	assert_int_equal(fault.exit_code, EXIT_CONFIG);
	assert_string_equal(fault.text,
			    "/nonexistent.conf: cannot be read: No such file or directory: allowed is a readable file");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_files),     cmocka_unit_test(test_issue_example),
		cmocka_unit_test(test_steer_example), cmocka_unit_test(test_every_key),
		cmocka_unit_test(test_defaults),      cmocka_unit_test(test_line_ends),
		cmocka_unit_test(test_round_trip),    cmocka_unit_test(test_drop_ins),
		cmocka_unit_test(test_directories),   cmocka_unit_test(test_broken_bytes),
		cmocka_unit_test(test_unreadable),
	};

	return cmocka_run_group_tests_name("policy_parse", tests, NULL, NULL);
}
