/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What is steered, as JSON; the command line prints its tables from this. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/json.h"
#include "steer/interface.h"
#include "steer/pins.h"
#include "steer/steer.h"
#include "steer/steer_lock.h"
#include "steer/steer_tables.h"

const char *const steer_verdict_names[STEER_VERDICT_MAX] = {
#define X(id, name, text) name,
	STEER_VERDICTS(X)
#undef X
};

static const char *const mode_names[] = { "none", "af_xdp", "dpdk", "endpoint" };

/* Sums a per-CPU element of 64-bit counters. */
static int sum_cpus(int map, uint32_t key, size_t words, uint64_t *sums)
{
	int cpus = libbpf_num_possible_cpus();
	uint64_t *values = cpus > 0 ? calloc(cpus * words, sizeof(*values)) : NULL;
	int error = values ? bpf_map_lookup_elem(map, &key, values) : -1;

	memset(sums, 0, words * sizeof(*sums));
	for (size_t i = 0; !error && i < cpus * words; i++)
		sums[i % words] += values[i];
	free(values);
	return error;
}

static json_t *counts_json(int map)
{
	json_t *counts = json_object();
	uint64_t count;

	for (uint32_t i = 0; i < STEER_VERDICT_MAX; i++) {
		sum_cpus(map, i, 1, &count);
		json_object_set_new(counts, steer_verdict_names[i], json_integer(count));
	}
	return counts;
}

static json_t *rule_json(const struct steer_tables *tables, uint32_t number, const struct steer_rule *rule,
			 uint32_t flows)
{
	struct steer_events events = { 0 };
	uint64_t hits[3];
	char name[STEER_NAME_LEN + 1] = "";

	sum_cpus(tables->steer_hits, number, 3, hits);
	bpf_map_lookup_elem(tables->steer_events, &number, &events);
	memcpy(name, rule->policy, STEER_NAME_LEN);
	return json_pack("{so, ss, ss, sI, sI, sI, si, sI, sI, sI}", "policy", json_text_or_null(name), "steer",
			 rule->mode < STEER_MODE_MAX ? mode_names[rule->mode] : "?", "state",
			 rule->active ? "active" : "draining", "packets", (json_int_t)hits[0], "bytes",
			 (json_int_t)hits[1], "lost", (json_int_t)hits[2], "flows", (int)flows, "flows_opened",
			 (json_int_t)events.flows, "flows_closed", (json_int_t)events.closed, "no_consumer",
			 (json_int_t)events.no_consumer);
}

static json_t *rules_json(const struct steer_tables *tables, const uint32_t *flows)
{
	json_t *rules = json_array();
	struct steer_rule rule;

	for (uint32_t i = 1; i < STEER_RULES_MAX; i++)
		if (!bpf_map_lookup_elem(tables->steer_rules, &i, &rule) && rule.policy[0])
			json_array_append_new(rules, rule_json(tables, i, &rule, flows[i]));
	return rules;
}

/* Only a program can tell which queues have a socket, so one is run. */
static int look_at_seats(const char *root, const char *interface, const struct steer_tables *tables,
			 bool taken[STEER_QUEUES_MAX])
{
	char packet[64] = { 0 }, path[PATH_MAX];
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = packet, .data_size_in = sizeof(packet));
	struct fault fault;
	int program, error;

	if (pins_path(path, root, interface, "presence", &fault))
		return -1;
	program = bpf_obj_get(path);
	if (program < 0)
		return -1;
	error = bpf_prog_test_run_opts(program, &run);
	close(program);
	for (uint32_t i = 0; i < STEER_QUEUES_MAX && !error; i++) {
		uint32_t seat = 0;

		bpf_map_lookup_elem(tables->steer_seats, &i, &seat);
		taken[i] = seat;
	}
	return error ? -1 : 0;
}

int steer_seats(const char *interface, const struct steer_tables *tables, bool taken[STEER_QUEUES_MAX])
{
	char root[PATH_MAX];
	struct fault fault;

	return pins_root(root, false, &fault) || !*root ? -1 : look_at_seats(root, interface, tables, taken);
}

/* NULL if it cannot be told. */
static json_t *queues_json(const char *root, const char *interface, const struct steer_tables *tables,
			   unsigned int count)
{
	bool taken[STEER_QUEUES_MAX];
	json_t *queues;

	if (look_at_seats(root, interface, tables, taken))
		return NULL;
	queues = json_array();
	for (uint32_t i = 0; i < count && i < STEER_QUEUES_MAX; i++)
		json_array_append_new(queues, json_pack("{si, sb}", "queue", (int)i, "consumer", (int)taken[i]));
	return queues;
}

/* Is it our tables that the program on the interface uses, whoever attached it? */
static bool uses_tables(uint32_t program, int map)
{
	struct bpf_prog_info info = { 0 };
	struct bpf_map_info wanted = { 0 };
	uint32_t length = sizeof(info), map_length = sizeof(wanted), ids[64];
	int fd = bpf_prog_get_fd_by_id(program);
	bool uses = false;

	if (fd < 0)
		return false;
	info.nr_map_ids = sizeof(ids) / sizeof(ids[0]);
	info.map_ids = (uint64_t)(uintptr_t)ids;
	if (!bpf_obj_get_info_by_fd(fd, &info, &length) && !bpf_obj_get_info_by_fd(map, &wanted, &map_length))
		for (uint32_t i = 0; i < info.nr_map_ids && i < sizeof(ids) / sizeof(ids[0]); i++)
			uses |= ids[i] == wanted.id;
	close(fd);
	return uses;
}

static void describe_program(json_t *status, const char *interface, const struct steer_tables *tables, bool linked)
{
	struct interface_xdp xdp = { 0 };
	struct fault fault;
	int index = interface_index(interface, &fault);
	const char *state = "vanished";

	if (index > 0 && !interface_xdp(index, &xdp, &fault))
		state = linked					   ? "attached" :
			!xdp.program				   ? "not attached" :
			uses_tables(xdp.program, tables->xsks_map) ? "shared" :
								     "foreign program";
	json_object_set_new(status, "state", json_string(state));
	json_object_set_new(status, "mode", xdp.mode ? json_string(xdp.mode) : json_null());
	json_object_set_new(status, "program_id", xdp.program ? json_integer(xdp.program) : json_null());
	json_object_set_new(status, "program", json_text_or_null(xdp.program ? xdp.name : NULL));
}

/* Does the link still hold the program on the interface of this name? */
static bool is_linked(const char *path, const char *interface)
{
	struct bpf_link_info info = { 0 };
	uint32_t length = sizeof(info);
	struct fault fault;
	int fd = bpf_obj_get(path), index = interface_index(interface, &fault);
	bool linked;

	if (fd < 0)
		return false;
	linked = !bpf_obj_get_info_by_fd(fd, &info, &length) && index > 0 && info.xdp.ifindex == (uint32_t)index;
	close(fd);
	return linked;
}

static json_t *interface_json(const char *interface, struct fault *fault)
{
	char root[PATH_MAX], path[PATH_MAX];
	struct steer_tables tables;
	struct steer_load load;
	json_t *status, *queues;

	if (tables_open(&tables, interface, fault))
		return NULL;
	if (tables_tidy(&tables, &load, fault) || pins_root(root, false, fault) ||
	    pins_path(path, root, interface, "link", fault)) {
		tables_close(&tables);
		return NULL;
	}
	status = json_pack("{so}", "interface", json_text_or_null(interface));
	describe_program(status, interface, &tables, is_linked(path, interface));
	pins_path(path, root, interface, "xsks_map", fault);
	json_object_set_new(status, "xsks_map", json_text_or_null(path));
	queues = queues_json(root, interface, &tables, interface_queues(interface));
	json_object_set_new(status, "queues", queues ?: json_null());
	json_object_set_new(status, "flows", json_integer(load.flows));
	json_object_set_new(status, "half_open", json_integer(load.half_open));
	json_object_set_new(status, "closing", json_integer(load.closing));
	json_object_set_new(status, "packets", counts_json(tables.steer_counts));
	json_object_set_new(status, "rules", rules_json(&tables, load.rule_flows));
	free(load.rule_flows);
	tables_close(&tables);
	return status;
}

struct collected {
	json_t *list;
	struct fault *fault;
	bool all;
};

static int collect(const char *interface, void *context)
{
	struct collected *collected = context;
	json_t *status = interface_json(interface, collected->fault);

	/* Of a list, what cannot be read (it is another namespace's) is only named. */
	if (!status && collected->all)
		status = json_pack("{so, so}", "interface", json_text_or_null(interface), "error",
				   json_text_or_null(collected->fault->text));
	return status ? json_array_append_new(collected->list, status) : -1;
}

json_t *steer_status(const char *interface, struct fault *fault)
{
	struct collected collected = { json_array(), fault, !interface };
	int lock = steer_lock(fault), failed;

	failed = lock < 0 || (interface ? collect(interface, &collected) : pins_each(collect, &collected, fault));
	steer_unlock(lock);
	if (!failed)
		return json_pack("{so}", "interfaces", collected.list);
	json_decref(collected.list);
	return NULL;
}

struct counting {
	struct steer_counters *list;
	size_t count, max;
};

static int count_interface(const char *interface, void *context)
{
	struct counting *counting = context;
	struct steer_counters *counters = &counting->list[counting->count];
	char root[PATH_MAX], path[PATH_MAX];
	struct steer_tables tables;
	struct fault fault;
	json_t *queues, *queue;
	size_t i;

	if (counting->count == counting->max)
		return 1;
	if (tables_open(&tables, interface, &fault))
		return 0;
	*counters = (struct steer_counters){ .queues = interface_queues(interface) };
	strcpy(counters->interface, interface);
	if (!pins_root(root, false, &fault) && !pins_path(path, root, interface, "link", &fault)) {
		counters->attached = is_linked(path, interface);
		queues = queues_json(root, interface, &tables, counters->queues);
		json_array_foreach(queues, i, queue)
			counters->consumers += json_is_true(json_object_get(queue, "consumer"));
		json_decref(queues);
	}
	for (uint32_t verdict = 0; verdict < STEER_VERDICT_MAX; verdict++)
		sum_cpus(tables.steer_counts, verdict, 1, &counters->packets[verdict]);
	tables_close(&tables);
	counting->count++;
	return 0;
}

size_t steer_counters(struct steer_counters *list, size_t max)
{
	struct counting counting = { list, 0, max };
	struct fault fault;

	pins_each(count_interface, &counting, &fault);
	return counting.count;
}
