/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* From policy texts to the steering program's tables: what is in force, what keeps its number, what drains and is
 * freed. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <time.h>

#include "steer_set.h"

struct test {
	struct steer_bpf *steer;
	struct steer_tables tables;
};

#define ONE(name, keys) "[policy " name "]\nsteer = af_xdp\ninterface = eth1\n" keys

static int setup(void **state)
{
	struct test *test = calloc(1, sizeof(*test));

	test->steer = steer_load(&test->tables);
	*state = test;
	return test->steer ? 0 : -1;
}

static int teardown(void **state)
{
	struct test *test = *state;

	steer_bpf__destroy(test->steer);
	free(test);
	return 0;
}

static void put(struct test *test, const char *text)
{
	struct fault fault;

	if (steer_put(&test->tables, text, &fault))
		fail_msg("%s", fault.text);
}

/* As the program finds it: the number of a rule, and whether the port drains. */
static uint32_t entry(struct test *test, unsigned int port, enum steer_protocol protocol,
		      enum steer_direction direction)
{
	struct steer_control control;
	struct steer_port ports;
	uint32_t zero = 0, key;

	assert_int_equal(bpf_map_lookup_elem(test->tables.steer_control, &zero, &control), 0);
	key = control.half * STEER_PORTS + port;
	assert_int_equal(bpf_map_lookup_elem(test->tables.steer_ports, &key, &ports), 0);
	return ports.slot[STEER_SLOT(protocol, direction)];
}

static uint32_t slot(struct test *test, unsigned int port, enum steer_protocol protocol, enum steer_direction direction)
{
	return entry(test, port, protocol, direction) & ~STEER_SLOT_DRAIN;
}

static bool drains(struct test *test, unsigned int port)
{
	return entry(test, port, STEER_TCP, STEER_IN) & STEER_SLOT_DRAIN;
}

static bool drains_out(struct test *test, unsigned int port)
{
	return entry(test, port, STEER_TCP, STEER_OUT) & STEER_SLOT_DRAIN;
}

/* Are flows looked for by their remote ports? */
static bool looks_out(struct test *test)
{
	struct steer_control control;
	uint32_t zero = 0;

	assert_int_equal(bpf_map_lookup_elem(test->tables.steer_control, &zero, &control), 0);
	return control.out[control.half];
}

/* Number of a policy's rule, 0 if it has none. */
static uint32_t number_of(struct test *test, const char *policy)
{
	struct steer_rule rule;

	for (uint32_t i = 1; i < STEER_RULES_MAX; i++) {
		assert_int_equal(bpf_map_lookup_elem(test->tables.steer_rules, &i, &rule), 0);
		if (!strcmp(rule.policy, policy))
			return i;
	}
	return 0;
}

static const char *decides(struct test *test, uint32_t slot, const char *peer)
{
	static struct steer_rule rule;
	struct steer_peer_key key = { .prefixlen = 160, .group = slot & STEER_SLOT_NUMBER };
	uint32_t number = slot;

	assert_int_equal(inet_pton(AF_INET6, peer, key.peer), 1);
	if (slot & STEER_SLOT_GROUP && bpf_map_lookup_elem(test->tables.steer_peers, &key, &number))
		return "nobody";
	assert_int_equal(bpf_map_lookup_elem(test->tables.steer_rules, &number, &rule), 0);
	return number ? rule.policy : "nobody";
}

static unsigned int peers_in(struct test *test)
{
	struct steer_peer_key key, next;
	unsigned int count = 0;
	bool more = !bpf_map_get_next_key(test->tables.steer_peers, NULL, &next);

	for (; more; count++) {
		key = next;
		more = !bpf_map_get_next_key(test->tables.steer_peers, &key, &next);
	}
	return count;
}

static void add_to(int map, struct test *test, uint16_t port, uint16_t remote_port, const char *policy, uint32_t age,
		   enum steer_state state)
{
	struct steer_flow_key key = { .remote_port = htons(remote_port), .local_port = htons(port) };
	struct steer_flow flow = { .rule = number_of(test, policy), .state = state };
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	flow.seen = ((now.tv_sec * 1000000000ull + now.tv_nsec) >> 30) - age;
	assert_int_equal(bpf_map_update_elem(map, &key, &flow, BPF_ANY), 0);
}

static void add_flow(struct test *test, uint16_t port, const char *policy, uint32_t age, enum steer_state state)
{
	add_to(test->tables.steer_flows, test, port, 40000, policy, age, state);
}

static struct steer_load tidy(struct test *test)
{
	struct steer_load load;
	struct fault fault;

	assert_int_equal(tables_tidy(&test->tables, &load, &fault), 0);
	free(load.rule_flows);
	load.rule_flows = NULL;
	return load;
}

static void test_ports(void **state)
{
	struct test *test = *state;

	put(test,
	    ONE("a", "ports = 9000-9010, 9011, 65535\n") ONE("b", "ports = 9005\nprotocol = any\ndirection = any\n"));
	assert_int_equal(slot(test, 8999, STEER_TCP, STEER_IN), 0);
	assert_string_equal(decides(test, slot(test, 9000, STEER_TCP, STEER_IN), "::1"), "a");
	assert_string_equal(decides(test, slot(test, 9004, STEER_TCP, STEER_IN), "::1"), "a");
	assert_string_equal(decides(test, slot(test, 9005, STEER_TCP, STEER_IN), "::1"), "b"); /* the narrower one */
	assert_string_equal(decides(test, slot(test, 9006, STEER_TCP, STEER_IN), "::1"), "a");
	assert_string_equal(decides(test, slot(test, 9011, STEER_TCP, STEER_IN), "::1"), "a");
	assert_int_equal(slot(test, 9012, STEER_TCP, STEER_IN), 0);
	assert_string_equal(decides(test, slot(test, 65535, STEER_TCP, STEER_IN), "::1"), "a");
	assert_int_equal(slot(test, 9000, STEER_UDP, STEER_IN), 0);
	assert_int_equal(slot(test, 9000, STEER_TCP, STEER_OUT), 0);
	assert_string_equal(decides(test, slot(test, 9005, STEER_UDP, STEER_OUT), "::1"), "b");
	/* Also where it comes first; of two alike the later one. */
	put(test, ONE("c", "ports = 9005\n") ONE("d", "ports = 9000-9010\n") ONE("e", "ports = 9000-9010\n"));
	assert_string_equal(decides(test, slot(test, 9005, STEER_TCP, STEER_IN), "::1"), "c");
	assert_string_equal(decides(test, slot(test, 9006, STEER_TCP, STEER_IN), "::1"), "e");
}

static void test_peers(void **state)
{
	struct test *test = *state;
	uint32_t group;

	put(test, ONE("any", "ports = 9000-9001\n") ONE("wide", "ports = 9000\npeers = 10.0.0.0/8, fd00::/8\n")
			  ONE("narrow", "ports = 9000\npeers = 10.1.0.0/16\n")
				  ONE("again", "ports = 9000\npeers = 10.1.0.0/16\n"));
	group = slot(test, 9000, STEER_TCP, STEER_IN);
	assert_true(group & STEER_SLOT_GROUP);
	assert_string_equal(decides(test, group, "::ffff:192.0.2.1"), "any");
	assert_string_equal(decides(test, group, "::ffff:10.2.0.1"), "wide");
	assert_string_equal(decides(test, group, "::ffff:10.1.0.1"), "again");
	assert_string_equal(decides(test, group, "fd00::1"), "wide");
	assert_false(slot(test, 9001, STEER_TCP, STEER_IN) & STEER_SLOT_GROUP);
	/* What a replaced set needed is gone from the trie. */
	assert_int_equal(peers_in(test), 4);
	put(test, ONE("any", "ports = 9000\npeers = 11.0.0.0/8\n"));
	assert_int_equal(peers_in(test), 1);
	group = slot(test, 9000, STEER_TCP, STEER_IN);
	assert_string_equal(decides(test, group, "::ffff:10.2.0.1"), "nobody");
	assert_string_equal(decides(test, group, "::ffff:11.2.0.1"), "any");
	put(test, ONE("any", "ports = 9000\n"));
	assert_int_equal(peers_in(test), 0);
}

static void test_numbers(void **state)
{
	struct test *test = *state;
	struct steer_events events = { .flows = 7 };
	int cpus = libbpf_num_possible_cpus();
	struct steer_hits *hits = calloc(cpus, sizeof(*hits));
	uint32_t number;

	put(test, ONE("a", "ports = 1\n") ONE("b", "ports = 2\n"));
	number = number_of(test, "b");
	assert_int_equal(bpf_map_update_elem(test->tables.steer_events, &number, &events, BPF_ANY), 0);
	memset(hits, 1, cpus * sizeof(*hits));
	assert_int_equal(bpf_map_update_elem(test->tables.steer_hits, &number, hits, BPF_ANY), 0);
	/* A policy keeps its number, wherever it stands now; a new one gets a free one. */
	put(test, ONE("c", "ports = 3\n") ONE("b", "ports = 2\n"));
	assert_int_equal(number_of(test, "b"), number);
	assert_int_not_equal(number_of(test, "c"), number_of(test, "a"));
	/* The rule without flows is freed with its counters, and its number used again. */
	put(test, ONE("c", "ports = 3\n"));
	assert_int_equal(tidy(test).active, 1);
	assert_int_equal(number_of(test, "b"), 0);
	assert_int_equal(number_of(test, "a"), 0);
	assert_int_equal(bpf_map_lookup_elem(test->tables.steer_events, &number, &events), 0);
	assert_int_equal(events.flows, 0);
	assert_int_equal(bpf_map_lookup_elem(test->tables.steer_hits, &number, hits), 0);
	for (size_t i = 0; i < cpus * sizeof(*hits); i++)
		assert_int_equal(((uint8_t *)hits)[i], 0);
	free(hits);
	put(test, ONE("c", "ports = 3\n") ONE("d", "ports = 4\n") ONE("e", "ports = 5\n"));
	assert_true(number_of(test, "d") == number || number_of(test, "e") == number);
}

static void test_draining(void **state)
{
	struct test *test = *state;
	struct steer_load load;

	put(test, ONE("a", "ports = 9000\n"));
	add_flow(test, 9000, "a", 0, STEER_OPEN);
	put(test, "");
	assert_int_equal(slot(test, 9000, STEER_TCP, STEER_IN), 0);
	assert_true(drains(test, 9000));
	assert_false(drains(test, 9001));
	/* It stays through any number of changes, as long as the flow lives. */
	put(test, ONE("b", "ports = 9001\n"));
	put(test, "");
	load = tidy(test);
	assert_int_equal(load.flows, 1);
	assert_int_equal(load.draining, 1);
	assert_int_equal(load.active, 0);
	assert_true(drains(test, 9000));
	assert_int_not_equal(number_of(test, "a"), 0);
	add_flow(test, 9000, "a", STEER_IDLE_CLOSING + 5, STEER_CLOSING);
	load = tidy(test);
	assert_int_equal(load.flows + load.draining, 0);
	assert_false(drains(test, 9000));
	assert_int_equal(number_of(test, "a"), 0);
}

static void test_draining_out(void **state)
{
	struct test *test = *state;

	put(test, ONE("a", "ports = 9000\n"));
	assert_false(looks_out(test));
	put(test, ONE("a", "ports = 9000, 9001\ndirection = out\n") ONE("b", "ports = 9002\n"));
	assert_true(looks_out(test));
	add_to(test->tables.steer_flows, test, 40000, 9000, "a", 0, STEER_OPEN);
	put(test, "");
	assert_true(looks_out(test));
	/* b is freed, and with it what no flow needs any more. */
	assert_int_equal(tidy(test).flows, 1);
	assert_true(drains_out(test, 9000));
	assert_false(drains_out(test, 9001));
	add_to(test->tables.steer_flows, test, 40000, 9000, "a", STEER_IDLE_OPEN + 5, STEER_OPEN);
	assert_int_equal(tidy(test).flows, 0);
	assert_false(drains_out(test, 9000));
	put(test, "");
	assert_false(looks_out(test));
}

static void test_idle(void **state)
{
	struct test *test = *state;
	struct steer_load load;
	struct steer_flow_key key;

	put(test, ONE("a", "ports = 9000-9003\n"));
	add_flow(test, 9000, "a", STEER_IDLE_OPEN - 5, STEER_OPEN);
	add_flow(test, 9001, "a", STEER_IDLE_OPEN + 5, STEER_OPEN);
	add_flow(test, 9002, "a", STEER_IDLE_CLOSING - 5, STEER_CLOSING);
	add_flow(test, 9003, "a", -1, STEER_OPEN); /* seen after the scan began */
	assert_int_equal(tidy(test).flows, 2);
	assert_int_equal(tidy(test).closing, 1);
	add_to(test->tables.steer_syns, test, 9000, 40001, "a", STEER_IDLE_SYN - 1, STEER_HALF_OPEN);
	add_to(test->tables.steer_syns, test, 9000, 40002, "a", STEER_IDLE_SYN + 2, STEER_HALF_OPEN);
	load = tidy(test);
	assert_int_equal(load.flows, 2);
	assert_int_equal(load.half_open, 1);
	/* A closed one is kept for as long as an open one, but counts no more; unless its rule waits for its end. */
	add_to(test->tables.steer_closed, test, 9000, 40003, "a", STEER_IDLE_CLOSING + 5, STEER_CLOSING);
	load = tidy(test);
	assert_int_equal(load.closing, 1);
	put(test, "");
	tidy(test);
	assert_int_not_equal(bpf_map_get_next_key(test->tables.steer_closed, NULL, &key), 0);
}

static void test_icmp(void **state)
{
	struct test *test = *state;
	struct steer_control control;
	uint32_t zero = 0;

	/* No port takes ping along. */
	put(test, ONE("a", "ports = 9000\nprotocol = any\n"));
	assert_int_equal(bpf_map_lookup_elem(test->tables.steer_control, &zero, &control), 0);
	assert_int_equal(control.icmp[control.half][STEER_IN], 0);
	assert_int_equal(control.out[control.half], 0);
	put(test, ONE("b", "ports = 1-65535\nprotocol = any\n"));
	assert_int_equal(bpf_map_lookup_elem(test->tables.steer_control, &zero, &control), 0);
	assert_string_equal(decides(test, control.icmp[control.half][STEER_IN], "::1"), "b");
	assert_int_equal(control.icmp[control.half][STEER_OUT], 0);
	assert_string_equal(decides(test, slot(test, 1, STEER_UDP, STEER_IN), "::1"), "b");
	assert_string_equal(decides(test, slot(test, 65535, STEER_TCP, STEER_IN), "::1"), "b");
	/* ICMP alone takes no port along either. */
	put(test, ONE("c", "protocol = icmp\npeers = 192.0.2.1\n"));
	assert_int_equal(bpf_map_lookup_elem(test->tables.steer_control, &zero, &control), 0);
	assert_string_equal(decides(test, control.icmp[control.half][STEER_IN], "::ffff:192.0.2.1"), "c");
	assert_string_equal(decides(test, control.icmp[control.half][STEER_IN], "::ffff:192.0.2.2"), "nobody");
	assert_int_equal(slot(test, 9000, STEER_TCP, STEER_IN), 0);
	assert_int_equal(slot(test, 9000, STEER_UDP, STEER_IN), 0);
}

static void test_many(void **state)
{
	struct test *test = *state;
	char *text = steer_many(3000, "peers = 10.0.0.0/8, 2001:db8::/32");

	put(test, text);
	put(test, text); /* both generations fit at once */
	assert_string_equal(decides(test, slot(test, 22999, STEER_TCP, STEER_IN), "::ffff:10.0.0.1"), "p2999");
	assert_int_equal(peers_in(test), 6000);
	free(text);
}

/* What does not fit is refused as a whole, and what was in force stays. */
static void test_too_many(void **state)
{
	struct test *test = *state;
	struct fault fault;
	char *text = steer_many(12000, "peers = 10.0.0.0/8, 11.0.0.0/8, 12.0.0.0/8");

	put(test, ONE("a", "ports = 9000\n"));
	assert_int_equal(steer_put(&test->tables, text, &fault), -1);
	assert_int_equal(fault.exit_code, EXIT_CONFIG);
	assert_string_equal(decides(test, slot(test, 9000, STEER_TCP, STEER_IN), "::1"), "a");
	free(text);
	assert_int_equal(steer_put(&test->tables, ONE("x", "ports = 1\nqueues = 256\n"), &fault), -1);
	assert_non_null(strstr(fault.text, "queue 256"));
}

static void test_queue_limit(void **state)
{
	struct policy_set *set = steer_policies(ONE("a", "ports = 1\nqueues = 5, 0-3\n") ONE("b", "ports = 2\n"));
	struct steer_plan plan;
	struct fault fault;

	assert_non_null(set);
	assert_int_equal(plan_make(&plan, set, "eth1", &fault), 0);
	assert_int_equal(plan.rules[0].queue_limit, 6);
	assert_int_equal(plan.rules[1].queue_limit, 0);
	assert_true(plan.rules[1].all_queues);
	plan_free(&plan);
	policy_set_free(set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_ports, setup, teardown),
		cmocka_unit_test_setup_teardown(test_peers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_numbers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_draining, setup, teardown),
		cmocka_unit_test_setup_teardown(test_draining_out, setup, teardown),
		cmocka_unit_test_setup_teardown(test_idle, setup, teardown),
		cmocka_unit_test_setup_teardown(test_icmp, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_many, setup, teardown),
		cmocka_unit_test(test_queue_limit),
	};

	if (geteuid()) {
		printf("1..1\nok 1 - steering tables # SKIP needs root\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
