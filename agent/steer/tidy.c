/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Forgetting: idle flows, and the rules and ports that have no flow any more. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/clock.h"
#include "steer/steer_tables.h"

#define TIDY_BATCH 4096

/* What a scan of the flows needs to know and collects. */
struct scan {
	uint32_t now;
	const struct steer_rule *rules;
	uint32_t *rule_flows;
	uint8_t *port_flows; /* per port: bit 0 = as local port, bit 1 = as remote port */
	uint32_t half_open, open, closing;
	bool without_endpoints; /* flows of rules for endpoints are nobody's */
};

/* How long a flow may be silent. */
static int32_t limit_of(const struct steer_flow *flow, const struct scan *scan)
{
	if (flow->state == STEER_HALF_OPEN)
		return STEER_IDLE_SYN;
	/* What waits for the end of a rule does not wait for what may come after the end of a flow. */
	if (flow->state == STEER_CLOSING && (flow->rule >= STEER_RULES_MAX || !scan->rules[flow->rule].active))
		return STEER_IDLE_CLOSING;
	return STEER_IDLE_OPEN;
}

static void scan_flow(int map, const struct steer_flow_key *key, const struct steer_flow *flow, struct scan *scan)
{
	int32_t age = scan->now - flow->seen;

	if (scan->without_endpoints) {
		if (flow->rule < STEER_RULES_MAX && scan->rules[flow->rule].mode == STEER_ENDPOINT)
			bpf_map_delete_elem(map, key);
		return;
	}
	/* A packet may come between the look and the deletion; after so long a silence that is a risk the program takes
	 * too. */
	if (age > limit_of(flow, scan)) {
		bpf_map_delete_elem(map, key);
		return;
	}
	if (flow->state == STEER_HALF_OPEN)
		scan->half_open++;
	else if (flow->state != STEER_CLOSING)
		scan->open++;
	else if (age <= STEER_IDLE_CLOSING)
		scan->closing++;
	else
		return;
	if (flow->rule < STEER_RULES_MAX)
		scan->rule_flows[flow->rule]++;
	scan->port_flows[__builtin_bswap16(key->local_port)] |= 1;
	scan->port_flows[__builtin_bswap16(key->remote_port)] |= 2;
}

static int scan_flows(int map, struct scan *scan)
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
			scan_flow(map, &keys[i], &flows[i], scan);
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

static int scan_all(const struct steer_tables *tables, struct scan *scan)
{
	return scan_flows(tables->steer_syns, scan)	      ?:
		       scan_flows(tables->steer_silent, scan) ?:
		       scan_flows(tables->steer_flows, scan)  ?:
								scan_flows(tables->steer_closed, scan);
}

void tables_forget_endpoints(const struct steer_tables *tables)
{
	struct steer_rule *rules = tables_read_array(tables->steer_rules, STEER_RULES_MAX, sizeof(*rules));
	struct scan scan = { .rules = rules, .without_endpoints = true };

	/* What stays because it could not be read is forgotten when it has been silent for long. */
	if (rules)
		scan_all(tables, &scan);
	free(rules);
}

static void free_ports(struct steer_tables *tables, const struct scan *scan)
{
	struct steer_port *halves = tables_read_array(tables->steer_ports, 2 * STEER_PORTS, sizeof(*halves));
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
	struct steer_rule *rules = tables_read_array(tables->steer_rules, STEER_RULES_MAX, sizeof(*rules));
	struct scan scan = {
		.rule_flows = calloc(STEER_RULES_MAX, sizeof(*scan.rule_flows)),
		.port_flows = calloc(STEER_PORTS, 1),
	};
	bool freed = false;
	int result = -1;

	*load = (struct steer_load){ 0 };
	/* Coarse like the program's clock, or a flow could have been seen in the future. */
	scan.now = clock_ns(CLOCK_MONOTONIC_COARSE) >> 30;
	scan.rules = rules;
	if (!rules || !scan.rule_flows || !scan.port_flows || scan_all(tables, &scan)) {
		fault_set(fault, EXIT_FAILED, "steering tables: reading the flows failed: %s: try again",
			  strerror(errno));
		goto out;
	}
	load->half_open = scan.half_open;
	load->flows = scan.open;
	load->closing = scan.closing;
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
