/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What the kernel side has counted: services and flows, for status, metrics and advice. */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>

#include "engine/inside.h"
#include "engine/passes.h"

static void add_up(struct ac_service_stats *total, const struct ac_service_stats *per_cpu, int cpus)
{
	const __u64 *from;
	__u64 *to = (__u64 *)total;

	/* All members are counters. */
	for (int cpu = 0; cpu < cpus; cpu++) {
		from = (const __u64 *)&per_cpu[cpu];
		for (size_t i = 0; i < sizeof(*total) / sizeof(*to); i++)
			to[i] += from[i];
	}
}

int engine_services(struct engine *engine, engine_service_visit *visit, void *context)
{
	int stats = objects_map(&engine->shared, "service_stats"), keys = objects_map(&engine->shared, "service_keys");
	int cpus = libbpf_num_possible_cpus(), stop = 0;
	struct ac_service_stats *per_cpu;
	uint32_t last = engine->tables.control->services_next;

	if (cpus < 0)
		return cpus;
	per_cpu = calloc(cpus, sizeof(*per_cpu));
	if (!per_cpu)
		return -ENOMEM;
	for (uint32_t number = 0; number <= last && number < AC_SERVICES_MAX && !stop; number++) {
		struct engine_service service = { .number = number };

		if (bpf_map_lookup_elem(stats, &number, per_cpu) || bpf_map_lookup_elem(keys, &number, &service.key))
			continue;
		add_up(&service.stats, per_cpu, cpus);
		if (service.stats.flows_opened)
			stop = visit(&service, context);
	}
	free(per_cpu);
	return 0;
}

struct flow_visit {
	engine_flow_visit *visit;
	void *context;
};

static int take_flow(const void *record, void *context)
{
	const struct ac_flow_record *r = record;
	const struct flow_visit *v = context;
	struct engine_flow flow = {
		.cookie = r->cookie,
		.netns = r->netns,
		.local_port = r->local_port,
		.remote_port = r->remote_port,
		.side = r->flow.side,
		.mode = r->flow.mode,
		.wrapper = r->flow.wrapper,
		.refusal = r->flow.refusal,
		.service = r->flow.service,
		.policy = r->flow.policy,
		.writes = r->flow.writes,
		.written_bytes = r->written_bytes,
		.bursts = r->flow.bursts,
		.held = r->flow.held,
		.misses = r->flow.misses,
		.segments = r->segments,
		.age_us = r->age_ms * 1000ull,
	};

	memcpy(flow.local, r->local, sizeof(flow.local));
	memcpy(flow.remote, r->remote, sizeof(flow.remote));
	memcpy(flow.comm, r->comm, sizeof(flow.comm));
	return v->visit(&flow, v->context);
}

int engine_flows(struct engine *engine, engine_flow_visit *visit, void *context)
{
	struct flow_visit v = { visit, context };

	return pass_read(engine->iterators[ITERATOR_DUMP], sizeof(struct ac_flow_record), take_flow, &v);
}

const struct engine_feature *engine_features(const struct engine *engine, size_t *count)
{
	*count = engine->features.count;
	return engine->features.list;
}
