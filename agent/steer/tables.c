/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "steer/tables.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/membarrier.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "steer/pins.h"

int tables_open(struct steer_tables *tables, const char *interface, struct fault *fault)
{
	const struct {
		const char *name;
		int *fd;
	} list[] = {
#define X(map) { #map, &tables->map },
		STEER_TABLES(X)
#undef X
	};
	char root[PATH_MAX], path[PATH_MAX];
	bool failed;

	memset(tables, 0xff, sizeof(*tables));
	if (pins_root(root, false, fault))
		return -1;
	failed = !*root;
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]) && !failed; i++) {
		if (pins_path(path, root, interface, list[i].name, fault)) {
			tables_close(tables);
			return -1;
		}
		*list[i].fd = bpf_obj_get(path);
		failed = *list[i].fd < 0;
	}
	if (!failed)
		return 0;
	if (!*root || errno == ENOENT)
		fault_set(fault, EXIT_FAILED, "%s: nothing is steered there: `autocork steer attach %s`", interface, interface);
	else
		fault_set(fault, EXIT_FAILED, "%s: %s: steering needs root", path, strerror(errno));
	tables_close(tables);
	return -1;
}

void tables_close(struct steer_tables *tables)
{
#define X(map)                          \
	if (tables->map >= 0)           \
		close(tables->map);     \
	tables->map = -1;
	STEER_TABLES(X)
#undef X
}

static int failed(struct fault *fault, const char *what)
{
	return fault_set(fault, EXIT_FAILED, "steering rules: %s: %s: the rules in force stay", what, strerror(errno));
}

/* All elements of an array map, in one call. */
static void *read_array(int map, uint32_t count, size_t size)
{
	uint32_t *keys = calloc(count, sizeof(*keys)), next, got = count;
	void *values = calloc(count, size);

	if (!keys || !values || bpf_map_lookup_batch(map, NULL, &next, keys, values, &got, NULL)) {
		/* ENOENT: the batch reached the end of the map, as asked. */
		if (!keys || !values || errno != ENOENT || got != count) {
			free(values);
			values = NULL;
		}
	}
	free(keys);
	return values;
}

static int write_array(int map, uint32_t first, uint32_t count, const void *values)
{
	uint32_t *keys = calloc(count, sizeof(*keys));
	int error = -1;

	for (uint32_t i = 0; keys && i < count; i++)
		keys[i] = first + i;
	if (keys)
		error = bpf_map_update_batch(map, keys, values, &count, NULL);
	free(keys);
	return error;
}

struct name {
	const char *policy;
	uint32_t number;
};

static int by_policy(const void *a, const void *b)
{
	return strcmp(((const struct name *)a)->policy, ((const struct name *)b)->policy);
}

/* Kernel numbers for the plan's rules: a policy keeps its number, and with it its counters. numbers[0] is 0. */
static int number_rules(const struct steer_plan *plan, const struct steer_rule *rules, uint32_t *numbers,
			struct fault *fault)
{
	struct name *names = calloc(STEER_RULES_MAX, sizeof(*names));
	uint32_t count = 0, unused = 1;
	int result = 0;

	if (!names)
		return failed(fault, "memory");
	for (uint32_t i = 1; i < STEER_RULES_MAX; i++)
		if (rules[i].policy[0])
			names[count++] = (struct name){ rules[i].policy, i };
	qsort(names, count, sizeof(*names), by_policy);
	for (size_t i = 0; i < plan->rule_count && !result; i++) {
		struct name wanted = { plan->rules[i].policy, 0 }, *known;

		known = bsearch(&wanted, names, count, sizeof(*names), by_policy);
		while (!known && unused < STEER_RULES_MAX && rules[unused].policy[0])
			unused++;
		if (!known && unused == STEER_RULES_MAX)
			result = fault_set(fault, EXIT_FAILED, "%s: no number is left for its rule: wait until the flows of "
					   "older rules have ended", plan->rules[i].policy);
		else
			numbers[i + 1] = known ? known->number : unused++;
	}
	free(names);
	return result;
}

static uint32_t kernel_slot(uint32_t slot, const uint32_t *numbers, uint32_t first_group)
{
	if (slot & STEER_SLOT_GROUP)
		return STEER_SLOT_GROUP | ((first_group + (slot & STEER_SLOT_NUMBER)) & STEER_SLOT_NUMBER);
	return numbers[slot];
}

/* Removes the peers of the groups that are (not) among the `count` ones from `first`. */
static void remove_groups(int map, uint32_t first, uint32_t count, bool among)
{
	struct steer_peer_key key, next;
	bool more = !bpf_map_get_next_key(map, NULL, &next);

	while (more) {
		key = next;
		more = !bpf_map_get_next_key(map, &key, &next);
		if ((key.group - first < count) == among)
			bpf_map_delete_elem(map, &key);
	}
}

static int write_peers(int map, const struct steer_plan *plan, const uint32_t *numbers, uint32_t first_group)
{
	for (size_t i = 0; i < plan->peer_count; i++) {
		const struct plan_peer *peer = &plan->peers[i];
		struct steer_peer_key key = { 32 + peer->bits, (first_group + peer->group) & STEER_SLOT_NUMBER, { 0 } };

		memcpy(key.peer, peer->address, sizeof(key.peer));
		if (bpf_map_update_elem(map, &key, &numbers[peer->rule], BPF_ANY))
			return -1;
	}
	return 0;
}

/* The ports' slots in kernel numbers; a TCP slot that flows may still come through is marked. */
static struct steer_port *number_ports(const struct steer_plan *plan, const struct steer_port *old, const uint32_t *numbers,
				       uint32_t first_group, bool *drains_out)
{
	const unsigned int tcp_out = STEER_SLOT(STEER_TCP, STEER_OUT);
	struct steer_port *ports = calloc(STEER_PORTS, sizeof(*ports));

	for (uint32_t port = 0; ports && port < STEER_PORTS; port++) {
		for (unsigned int kind = 0; kind < STEER_SLOTS; kind++) {
			ports[port].slot[kind] = kernel_slot(plan->ports[port].slot[kind], numbers, first_group);
			if (kind < STEER_SLOT(STEER_UDP, STEER_IN) && old[port].slot[kind])
				ports[port].slot[kind] |= STEER_SLOT_DRAIN;
		}
		*drains_out |= ports[port].slot[tcp_out] & STEER_SLOT_DRAIN;
	}
	return ports;
}

static int write_rules(int map, struct steer_rule *rules, const struct steer_plan *plan, const uint32_t *numbers)
{
	for (size_t i = 0; i < plan->rule_count; i++) {
		const struct plan_rule *rule = &plan->rules[i];
		uint32_t number = numbers[i + 1];

		rules[number] = (struct steer_rule){ .active = 1, .mode = rule->mode };
		memcpy(rules[number].queues, rule->queues, sizeof(rule->queues));
		strcpy(rules[number].policy, rule->policy);
		if (bpf_map_update_elem(map, &number, &rules[number], BPF_ANY))
			return -1;
	}
	return 0;
}

/* Rules that the plan does not have: no new flow is theirs. */
static void retire_rules(int map, struct steer_rule *rules, const struct steer_plan *plan, const uint32_t *numbers)
{
	bool *kept = calloc(STEER_RULES_MAX, sizeof(*kept));

	for (size_t i = 1; kept && i <= plan->rule_count; i++)
		kept[numbers[i]] = true;
	for (uint32_t i = 1; kept && i < STEER_RULES_MAX; i++) {
		if (kept[i] || !rules[i].active)
			continue;
		rules[i].active = 0;
		bpf_map_update_elem(map, &i, &rules[i], BPF_ANY);
	}
	free(kept);
}

/* Returns when no packet is under way that has seen what the tables said before. */
static void wait_for_packets(void)
{
	if (syscall(__NR_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0))
		usleep(20000);
}

int tables_apply(struct steer_tables *tables, const struct steer_plan *plan, struct fault *fault)
{
	struct steer_rule *rules = read_array(tables->steer_rules, STEER_RULES_MAX, sizeof(*rules));
	struct steer_port *halves = read_array(tables->steer_ports, 2 * STEER_PORTS, sizeof(*halves)), *ports = NULL;
	uint32_t *numbers = calloc(plan->rule_count + 1, sizeof(*numbers)), zero = 0, first_group, idle;
	struct steer_control control;
	bool drains_out = false;
	int result = -1;

	if (!rules || !halves || !numbers || bpf_map_lookup_elem(tables->steer_control, &zero, &control)) {
		failed(fault, "reading the tables");
		goto out;
	}
	idle = !control.half;
	first_group = control.next_group;
	if (number_rules(plan, rules, numbers, fault))
		goto out;
	ports = number_ports(plan, halves + control.half * STEER_PORTS, numbers, first_group, &drains_out);
	if (!ports || write_peers(tables->steer_peers, plan, numbers, first_group) ||
	    write_rules(tables->steer_rules, rules, plan, numbers) ||
	    write_array(tables->steer_ports, idle * STEER_PORTS, STEER_PORTS, ports)) {
		failed(fault, "writing the tables");
		remove_groups(tables->steer_peers, first_group, plan->group_count, true);
		goto out;
	}
	control.half = idle;
	control.out[idle] = plan->out || drains_out;
	for (int direction = STEER_IN; direction <= STEER_OUT; direction++)
		control.icmp[idle][direction] = kernel_slot(plan->icmp[direction], numbers, first_group);
	control.next_group = (first_group + plan->group_count) & STEER_SLOT_NUMBER;
	if (bpf_map_update_elem(tables->steer_control, &zero, &control, BPF_ANY)) {
		failed(fault, "putting the rules in force");
		goto out;
	}
	retire_rules(tables->steer_rules, rules, plan, numbers);
	wait_for_packets();
	remove_groups(tables->steer_peers, first_group, plan->group_count, false);
	result = 0;
out:
	free(rules);
	free(halves);
	free(ports);
	free(numbers);
	return result;
}

#define TIDY_BATCH 4096

/* What a scan of the flows needs to know and collects. */
struct scan {
	uint32_t now;
	uint32_t *rule_flows;
	uint8_t *port_flows;		/* per port: bit 0 = as local port, bit 1 = as remote port */
	uint32_t kept;
};

static void scan_flow(int map, const struct steer_flow_key *key, const struct steer_flow *flow, bool half_open,
		      struct scan *scan)
{
	uint32_t limit = half_open ? STEER_IDLE_SYN : flow->state == STEER_OPEN ? STEER_IDLE_OPEN : STEER_IDLE_CLOSING;

	/* A packet may come between the look and the deletion; after so long a silence that is a risk the program takes too. */
	if ((int32_t)(scan->now - flow->seen) > (int32_t)limit) {
		bpf_map_delete_elem(map, key);
		return;
	}
	scan->kept++;
	if (flow->rule < STEER_RULES_MAX)
		scan->rule_flows[flow->rule]++;
	scan->port_flows[__builtin_bswap16(key->local_port)] |= 1;
	scan->port_flows[__builtin_bswap16(key->remote_port)] |= 2;
}

static int scan_flows(int map, bool half_open, struct scan *scan)
{
	struct steer_flow_key *keys = calloc(TIDY_BATCH, sizeof(*keys));
	struct steer_flow *flows = calloc(TIDY_BATCH, sizeof(*flows));
	uint32_t position = 0, count;
	bool first = true;
	int error = keys && flows ? 0 : -1;

	while (!error) {
		count = TIDY_BATCH;
		error = bpf_map_lookup_batch(map, first ? NULL : &position, &position, keys, flows, &count, NULL);
		if (error && errno != ENOENT)
			break;
		for (uint32_t i = 0; i < count; i++)
			scan_flow(map, &keys[i], &flows[i], half_open, scan);
		first = false;
		if (error) { /* ENOENT: the end */
			free(keys);
			free(flows);
			return 0;
		}
	}
	free(keys);
	free(flows);
	return -1;
}

static void free_ports(struct steer_tables *tables, const struct scan *scan)
{
	struct steer_port *halves = read_array(tables->steer_ports, 2 * STEER_PORTS, sizeof(*halves));
	struct steer_control control;
	uint32_t zero = 0;

	if (!halves || bpf_map_lookup_elem(tables->steer_control, &zero, &control)) {
		free(halves);
		return;
	}
	for (uint32_t i = 0; i < STEER_PORTS; i++) {
		uint32_t key = control.half * STEER_PORTS + i;
		struct steer_port *port = &halves[key], before = *port;

		for (int direction = STEER_IN; direction <= STEER_OUT; direction++)
			if (!(scan->port_flows[i] & 1 << direction))
				port->slot[STEER_SLOT(STEER_TCP, direction)] &= ~STEER_SLOT_DRAIN;
		if (memcmp(port, &before, sizeof(before)))
			bpf_map_update_elem(tables->steer_ports, &key, port, BPF_ANY);
	}
	free(halves);
}

static void free_rule(struct steer_tables *tables, uint32_t number)
{
	int cpus = libbpf_num_possible_cpus();
	struct steer_events events = { 0 };
	struct steer_rule rule = { 0 };
	struct steer_hits *hits = cpus > 0 ? calloc(cpus, sizeof(*hits)) : NULL;

	if (hits)
		bpf_map_update_elem(tables->steer_hits, &number, hits, BPF_ANY);
	bpf_map_update_elem(tables->steer_events, &number, &events, BPF_ANY);
	bpf_map_update_elem(tables->steer_rules, &number, &rule, BPF_ANY);
	free(hits);
}

int tables_tidy(struct steer_tables *tables, struct steer_load *load, struct fault *fault)
{
	struct steer_rule *rules = read_array(tables->steer_rules, STEER_RULES_MAX, sizeof(*rules));
	struct scan scan = {
		.rule_flows = calloc(STEER_RULES_MAX, sizeof(*scan.rule_flows)),
		.port_flows = calloc(STEER_PORTS, 1),
	};
	struct timespec now;
	bool freed = false;
	int result = -1;

	*load = (struct steer_load){ 0 };
	/* Coarse like the program's clock, or a flow could have been seen in the future. */
	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	scan.now = (now.tv_sec * 1000000000ull + now.tv_nsec) >> 30;
	if (!rules || !scan.rule_flows || !scan.port_flows || scan_flows(tables->steer_syns, true, &scan)) {
		fault_set(fault, EXIT_FAILED, "steering tables: reading the flows failed: %s: try again", strerror(errno));
		goto out;
	}
	load->half_open = scan.kept;
	if (scan_flows(tables->steer_flows, false, &scan)) {
		fault_set(fault, EXIT_FAILED, "steering tables: reading the flows failed: %s: try again", strerror(errno));
		goto out;
	}
	load->flows = scan.kept - load->half_open;
	for (uint32_t i = 1; i < STEER_RULES_MAX; i++) {
		load->active += rules[i].active;
		if (rules[i].active || !rules[i].policy[0])
			continue;
		if (scan.rule_flows[i]) {
			load->draining++;
		} else {
			free_rule(tables, i);
			freed = true;
		}
	}
	if (freed)
		free_ports(tables, &scan);
	load->rule_flows = scan.rule_flows;
	scan.rule_flows = NULL;
	result = 0;
out:
	free(scan.rule_flows);
	free(scan.port_flows);
	free(rules);
	return result;
}
