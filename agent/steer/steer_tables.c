/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "steer/steer_tables.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/membarrier.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "steer/pins.h"

uint64_t tables_namespace(void)
{
	struct stat status;

	return stat("/proc/thread-self/ns/net", &status) ? 0 : status.st_ino;
}

int tables_claim(int steer_control, int ifindex, int xsks_map)
{
	struct bpf_map_info xsks = { 0 };
	struct steer_control control;
	uint32_t zero = 0, length = sizeof(xsks);

	if (bpf_map_lookup_elem(steer_control, &zero, &control) || bpf_obj_get_info_by_fd(xsks_map, &xsks, &length))
		return -1;
	control.netns = tables_namespace();
	control.ifindex = ifindex;
	control.xsks = xsks.id;
	return bpf_map_update_elem(steer_control, &zero, &control, BPF_ANY);
}

int tables_owner(int steer_control)
{
	struct steer_control control = { 0 };
	uint32_t zero = 0;

	if (bpf_map_lookup_elem(steer_control, &zero, &control) || control.netns != tables_namespace())
		return 0;
	return control.ifindex;
}

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
	struct steer_control control;
	uint32_t zero = 0;
	bool failed;

	memset(tables, 0xff, sizeof(*tables));
	tables->elsewhere = false;
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
	if (!failed && !bpf_map_lookup_elem(tables->steer_control, &zero, &control) && control.netns &&
	    control.netns != tables_namespace()) {
		tables_close(tables);
		tables->elsewhere = true;
		return fault_set(fault, EXIT_FAILED,
				 "%s: the interface of that name that is steered is in another network namespace "
				 "(net:[%llu]): run this there",
				 interface, control.netns);
	}
	if (!failed)
		return 0;
	if (!*root || errno == ENOENT)
		fault_set(fault, EXIT_FAILED, "%s: nothing is steered there: `autocork steer attach %s`", interface,
			  interface);
	else
		pins_refused(path, fault);
	tables_close(tables);
	return -1;
}

void tables_close(struct steer_tables *tables)
{
#define X(map) \
	if (tables->map >= 0) \
		close(tables->map); \
	tables->map = -1;
	STEER_TABLES(X)
#undef X
}

static int failed(struct fault *fault, const char *what)
{
	return fault_set(fault, EXIT_FAILED, "steering rules: %s: %s: the rules in force stay", what, strerror(errno));
}

void *tables_read_array(int map, uint32_t count, size_t size)
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
			result = fault_set(fault, EXIT_FAILED,
					   "%s: no number is left for its rule: wait until the flows of "
					   "older rules have ended",
					   plan->rules[i].policy);
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
static struct steer_port *number_ports(const struct steer_plan *plan, const struct steer_port *old,
				       const uint32_t *numbers, uint32_t first_group, bool *drains_out)
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

		rules[number] = (struct steer_rule){ .active = 1, .mode = rule->mode, .transit = rule->transit };
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
	struct steer_rule *rules = tables_read_array(tables->steer_rules, STEER_RULES_MAX, sizeof(*rules));
	struct steer_port *halves = tables_read_array(tables->steer_ports, 2 * STEER_PORTS, sizeof(*halves)),
			  *ports = NULL;
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
