/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The agent's operations, asked over a real socket, on an engine without a kernel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "cli/client.h"
#include "daemon/daemon.h"
#include "fake_engine.h"
#include "lib/json.h"
#include "lib/log.h"

static struct fixture {
	char dir[64], control[80], policy[80];
	struct daemon daemon;
	pthread_t thread;
	int stop;
} f;

static int on_stop(sd_event_source *source, int fd, uint32_t events, void *data)
{
	return sd_event_exit(f.daemon.loop, 0);
}

static void *run_loop(void *data)
{
	sd_event_loop(f.daemon.loop);
	return NULL;
}

static void write_policy(const char *text)
{
	FILE *out = fopen(f.policy, "w");

	assert_non_null(out);
	fputs(text, out);
	fclose(out);
}

static int setup(void **state)
{
	struct fault fault;

	/* The tests provoke errors; their log lines are not the tests' output. */
	log_set_level(LOG_LEVEL_ERROR);
	memset(&f, 0, sizeof(f));
	memset(&fake_engine, 0, sizeof(fake_engine));
	strcpy(f.dir, "/tmp/autocork-ops-XXXXXX");
	assert_non_null(mkdtemp(f.dir));
	snprintf(f.control, sizeof(f.control), "%s/control.sock", f.dir);
	snprintf(f.policy, sizeof(f.policy), "%s/test.conf", f.dir);
	write_policy("[policy web]\nports = 80\nmode = autocork\n");
	f.daemon.options.policy_dirs[0] = f.dir;
	f.daemon.options.control = f.control;
	f.stop = eventfd(0, 0);
	assert_true(sd_event_new(&f.daemon.loop) >= 0);
	assert_true(sd_event_add_io(f.daemon.loop, NULL, f.stop, EPOLLIN, on_stop, NULL) >= 0);
	assert_int_equal(daemon_reload(&f.daemon, &fault), 0);
	assert_int_equal(control_start(&f.daemon.control, f.daemon.loop, f.control, daemon_ops, daemon_op_count,
				       &f.daemon, &fault),
			 0);
	return pthread_create(&f.thread, NULL, run_loop, NULL);
}

static int teardown(void **state)
{
	uint64_t one = 1;

	assert_int_equal(write(f.stop, &one, sizeof(one)), sizeof(one));
	pthread_join(f.thread, NULL);
	control_stop(f.daemon.control);
	policy_set_free(f.daemon.policy);
	sd_event_unref(f.daemon.loop);
	close(f.stop);
	free(fake_engine.flows);
	unlink(f.policy);
	return rmdir(f.dir);
}

static json_t *ask(json_t *request)
{
	struct fault fault = { EXIT_OK };
	json_t *reply = NULL;

	if (client_call(f.control, request, &reply, &fault))
		fail_msg("%s", fault.text);
	return reply;
}

static void ask_in_vain(json_t *request, enum exit_code code, const char *text)
{
	struct fault fault = { EXIT_OK };
	json_t *reply;

	assert_int_equal(client_call(f.control, request, &reply, &fault), -1);
	assert_int_equal(fault.exit_code, code);
	if (!strstr(fault.text, text))
		fail_msg("\"%s\" does not say \"%s\"", fault.text, text);
}

static void fill_services(void)
{
	fake_engine.service_count = 2;
	fake_engine.services[1] = (struct engine_service){
		.number = 7,
		.key = { .port = 80, .side = AC_SIDE_SERVER, .comm = "nginx" },
		.stats = {
			.flows_opened = 10, .flows_closed = 4, .writes = 1000, .bursts = 500, .held = 480, .misses = 1,
			.hold_us = 9600, .refused = { [AC_REFUSAL_NO_GAIN] = 3 },
			.released = { [AC_REASON_COMPLETE] = 479 },
			.hold_time = { [4] = 480 },
		},
	};
	fake_engine.services[1].managed = 2;
	fake_engine.services[0].stats.writes = 5;
}

static void fill_flows(size_t count)
{
	fake_engine.flows = calloc(count, sizeof(*fake_engine.flows));
	fake_engine.flow_count = count;
	for (size_t i = 0; i < count; i++)
		fake_engine.flows[i] = (struct engine_flow){
			.cookie = i,
			.local = { [10] = 0xff, 0xff, 127, 0, 0, 1 },
			.local_port = 80,
			.remote_port = 1024 + i,
			.side = AC_SIDE_SERVER,
			.mode = AC_MODE_AUTOCORK,
			.service = 7,
			.policy = 1,
			.wrapper = i % 2 ? AC_WRAPPER_CUBIC : AC_WRAPPER_NONE,
			.comm = "nginx",
		};
}

static void a_reload_stays_alive_and_is_no_beat(void **state)
{
	struct fault fault;

	f.daemon.engine = (struct engine *)&fake_engine; /* opaque, and passed on only */
	assert_int_equal(daemon_reload(&f.daemon, &fault), 0);
	assert_true(fake_engine.stayed_alive > 0);
	assert_int_equal(fake_engine.beats, 0);
}

static void status_adds_up(void **state)
{
	json_t *status, *service, *totals;

	fill_services();
	fill_flows(5);
	fake_engine.features[0] =
		(struct engine_feature){ "wrapper cubic", true, "", "nothing is held", "a newer kernel" };
	fake_engine.feature_count = 1;
	status = ask(json_pack("{ss}", "op", "status"));
	assert_string_equal(json_member_text(json_object_get(status, "agent"), "mode"), "autocork");
	assert_int_equal(json_number(json_object_get(status, "agent"), "pid"), getpid());
	assert_int_equal(json_number(json_object_get(status, "policy"), "policies"), 1);
	service = json_array_get(json_object_get(status, "services"), 1);
	assert_int_equal(json_number(service, "flows"), 6);
	assert_int_equal(json_number(service, "managed"), 2);
	assert_true(json_number_value(json_object_get(service, "mean_hold_us")) == 20);
	assert_int_equal(json_number(json_object_get(service, "refused"), "no_gain"), 3);
	assert_int_equal(json_number(json_object_get(service, "released"), "complete"), 479);
	totals = json_object_get(status, "totals");
	assert_int_equal(json_number(totals, "writes"), 1005);
	assert_int_equal(json_number(totals, "held"), 480);
	assert_null(json_object_get(totals, "port"));
	json_decref(status);

	fake_engine.features[0].works = false;
	status = ask(json_pack("{ss}", "op", "status"));
	assert_string_equal(json_member_text(json_object_get(status, "agent"), "mode"), "observe");
	json_decref(status);
}

/* The members, in their order. */
static const char *member_names(const json_t *object, char *text, size_t size)
{
	const char *name;
	const json_t *value;
	size_t used = 0;

	*text = 0;
	json_object_foreach((json_t *)object, name, value)
		used += snprintf(text + used, size - used, "%s%s", used ? " " : "", name);
	return text;
}

static void status_sends_what_is_asked_for(void **state)
{
	char text[256];
	json_t *status, *services;

	fill_services();
	status = ask(json_pack("{ss s[ssss] si}", "op", "status", "fields", "refused", "port", "flows", "hold_time_us",
			       "limit", 1));
	services = json_object_get(status, "services");
	assert_int_equal(json_array_size(services), 1);
	assert_string_equal(member_names(json_array_get(services, 0), text, sizeof(text)),
			    "port flows hold_time_us refused");
	/* The busiest, though it is not the first. Of counters by reason, those that are not 0. */
	assert_int_equal(json_number(json_array_get(services, 0), "port"), 80);
	assert_string_equal(member_names(json_object_get(json_array_get(services, 0), "refused"), text, sizeof(text)),
			    "no_gain");
	/* The totals are those of all. */
	assert_int_equal(json_number(json_object_get(status, "totals"), "writes"), 1005);
	json_decref(status);

	status = ask(json_pack("{ss s[s]}", "op", "status", "fields", "writes"));
	services = json_object_get(status, "services");
	assert_int_equal(json_array_size(services), 2);
	assert_string_equal(member_names(json_array_get(services, 1), text, sizeof(text)), "writes");
	json_decref(status);

	status = ask(json_pack("{ss si}", "op", "status", "limit", 9));
	services = json_object_get(status, "services");
	assert_int_equal(json_array_size(services), 2);
	assert_int_equal(json_number(json_array_get(services, 0), "number"), 7);
	assert_true(json_object_size(json_object_get(json_array_get(services, 0), "refused")) > 1);
	json_decref(status);

	ask_in_vain(json_pack("{ss s[s]}", "op", "status", "fields", "write"), EXIT_USAGE, "\"write\"");
	ask_in_vain(json_pack("{ss s[i]}", "op", "status", "fields", 1), EXIT_USAGE, "fields");
	ask_in_vain(json_pack("{ss ss}", "op", "status", "fields", "writes"), EXIT_USAGE, "fields");
	ask_in_vain(json_pack("{ss si}", "op", "status", "limit", -1), EXIT_USAGE, "limit");
}

static void totals_are_there_without_services(void **state)
{
	json_t *status = ask(json_pack("{ss}", "op", "status"));

	assert_true(json_is_integer(json_object_get(json_object_get(status, "totals"), "held")));
	assert_int_equal(json_array_size(json_object_get(status, "services")), 0);
	json_decref(status);
}

static int count_item(json_t *item, void *context)
{
	*(size_t *)context += 1;
	return 0;
}

static size_t count_flows(json_t *request)
{
	struct fault fault;
	size_t count = 0;

	assert_int_equal(client_list(f.control, request, count_item, &count, &fault), 0);
	return count;
}

static void flows_are_filtered(void **state)
{
	fill_flows(9);
	memcpy(fake_engine.flows[8].comm, "exactly15chars!", 16);
	assert_int_equal(count_flows(json_pack("{ss}", "op", "flows")), 9);
	assert_int_equal(count_flows(json_pack("{ss sb}", "op", "flows", "managed", true)), 4);
	assert_int_equal(count_flows(json_pack("{ss si}", "op", "flows", "port", 1025)), 1);
	assert_int_equal(count_flows(json_pack("{ss si}", "op", "flows", "port", 80)), 9);
	assert_int_equal(count_flows(json_pack("{ss si}", "op", "flows", "port", 81)), 0);
	assert_int_equal(count_flows(json_pack("{ss si}", "op", "flows", "limit", 3)), 3);
	assert_int_equal(count_flows(json_pack("{ss ss}", "op", "flows", "program", "ngin?")), 8);
	assert_int_equal(count_flows(json_pack("{ss ss}", "op", "flows", "program", "exactly*")), 1);
}

static int check_flow(json_t *flow, void *context)
{
	assert_string_equal(json_member_text(flow, "local"), "127.0.0.1");
	assert_string_equal(json_member_text(flow, "remote"), "::");
	assert_string_equal(json_member_text(flow, "side"), "server");
	assert_string_equal(json_member_text(flow, "policy"), "web");
	assert_string_equal(json_member_text(flow, "program"), "nginx");
	assert_true(json_is_null(json_object_get(flow, "wrapper")));
	return 1;
}

static void flow_has_names(void **state)
{
	struct fault fault;

	fill_flows(1);
	/* A visitor that has seen enough ends it. */
	assert_int_equal(client_list(f.control, json_pack("{ss}", "op", "flows"), check_flow, NULL, &fault), 1);
}

static void many_flows_arrive(void **state)
{
	fill_flows(20000);
	assert_int_equal(count_flows(json_pack("{ss}", "op", "flows")), 20000);
}

static void numbers_without_names_do_not_crash(void **state)
{
	fill_services();
	fill_flows(1);
	fake_engine.flows[0].side = fake_engine.flows[0].mode = fake_engine.flows[0].wrapper = 255;
	fake_engine.flows[0].refusal = 255;
	fake_engine.flows[0].service = fake_engine.flows[0].policy = UINT32_MAX;
	memset(fake_engine.flows[0].comm, 0xff, AC_COMM_LEN);
	memset(&fake_engine.services[1].key, 0xff, sizeof(fake_engine.services[1].key));
	assert_int_equal(count_flows(json_pack("{ss}", "op", "flows")), 1);
	assert_int_equal(count_flows(json_pack("{ss}", "op", "services")), 2);
	json_decref(ask(json_pack("{ss}", "op", "status")));
}

static void wrong_arguments_are_named(void **state)
{
	ask_in_vain(json_pack("{ss si}", "op", "status", "x", 1), EXIT_USAGE, "status");
	ask_in_vain(json_pack("{ss si}", "op", "flows", "x", 1), EXIT_USAGE, "flows");
	ask_in_vain(json_pack("{ss ss}", "op", "flows", "port", "http"), EXIT_USAGE, "flows");
	ask_in_vain(json_pack("{ss si}", "op", "flows", "port", 65536), EXIT_USAGE, "range");
	ask_in_vain(json_pack("{ss si}", "op", "flows", "limit", -1), EXIT_USAGE, "range");
	ask_in_vain(json_pack("{ss si}", "op", "reload", "x", 1), EXIT_USAGE, "reload");
}

static void bad_reload_keeps_what_is_in_force(void **state)
{
	json_t *status, *reload;

	assert_int_equal(fake_engine.applied, 1);
	write_policy("[policy web]\nports = 80000\nmode = autocork\n");
	ask_in_vain(json_pack("{ss}", "op", "reload"), EXIT_CONFIG, "test.conf:2");
	assert_int_equal(fake_engine.applied, 1);
	status = ask(json_pack("{ss}", "op", "status"));
	reload = json_object_get(json_object_get(status, "policy"), "reload");
	assert_true(json_is_false(json_object_get(reload, "ok")));
	assert_non_null(strstr(json_member_text(reload, "error"), "test.conf:2"));
	assert_int_equal(json_number(reload, "good"), 1);
	assert_int_equal(json_number(reload, "bad"), 1);
	assert_int_equal(json_number(json_object_get(status, "policy"), "policies"), 1);
	json_decref(status);

	write_policy("[policy a]\nports = 1\nmode = observe\n[policy b]\nports = 2\nmode = off\n");
	fake_engine.refuse_policies = true;
	ask_in_vain(json_pack("{ss}", "op", "reload"), EXIT_FAILED, "by the test");
	fake_engine.refuse_policies = false;
	json_decref(ask(json_pack("{ss}", "op", "reload")));
	assert_int_equal(fake_engine.policies, 3);
	status = ask(json_pack("{ss}", "op", "policy"));
	assert_int_equal(json_array_size(json_object_get(status, "policies")), 3);
	json_decref(status);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_reload_stays_alive_and_is_no_beat),
		TEST(status_adds_up),
		TEST(status_sends_what_is_asked_for),
		TEST(totals_are_there_without_services),
		TEST(flows_are_filtered),
		TEST(flow_has_names),
		TEST(many_flows_arrive),
		TEST(numbers_without_names_do_not_crash),
		TEST(wrong_arguments_are_named),
		TEST(bad_reload_keeps_what_is_in_force),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
