/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What the kernel side has counted: services and flows, for status, metrics and advice. */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/inside.h"
#include "engine/walk.h"

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

/*
 * No counter may fall. Flows are read after the services, so one that closes in between is in neither, and what was
 * said before is said again until the next time.
 */
static void keep_growing(struct ac_service_stats *stats, struct ac_service_stats *shown)
{
	__u64 *now = (__u64 *)stats, *before = (__u64 *)shown;

	for (size_t i = 0; i < sizeof(*stats) / sizeof(*now); i++) {
		if (now[i] < before[i])
			now[i] = before[i];
		before[i] = now[i];
	}
}

/* What the open flows will leave to their services when they close. */
static int add_live(struct engine *engine, struct engine_service *services, uint32_t end)
{
	struct ac_live *live = engine->tables.live;
	int err;

	memset(live, 0, end * sizeof(*live));
	err = walk_add_up(engine);
	for (uint32_t number = 0; number < end && !err; number++) {
		add_up(&services[number].stats, &live[number].stats, 1);
		services[number].managed = live[number].managed;
	}
	return err;
}

void engine_weigh(struct engine *engine)
{
	/* The walk does it on its way. Nobody reads what it adds up. */
	walk_add_up(engine);
}

void engine_sample(struct engine *engine, unsigned int shift)
{
	__atomic_store_n(&engine->tables.control->sample_mask, (1ull << shift) - 1, __ATOMIC_RELAXED);
	engine_weigh(engine);
}

static int read_services(struct engine *engine, struct engine_service *services, uint32_t end)
{
	int stats = objects_map(&engine->shared, "service_stats"), keys = objects_map(&engine->shared, "service_keys");
	int cpus = libbpf_num_possible_cpus();
	struct ac_service_stats *per_cpu;

	if (cpus < 0)
		return cpus;
	per_cpu = calloc(cpus, sizeof(*per_cpu));
	if (!per_cpu)
		return -ENOMEM;
	for (uint32_t number = 0; number < end; number++) {
		struct engine_service *service = &services[number];

		service->number = number;
		if (!bpf_map_lookup_elem(stats, &number, per_cpu) && !bpf_map_lookup_elem(keys, &number, &service->key))
			add_up(&service->stats, per_cpu, cpus);
	}
	free(per_cpu);
	add_up(&services[0].stats, recycler_gone(engine->recycler), 1);
	return add_live(engine, services, end);
}

int engine_services(struct engine *engine, engine_service_visit *visit, void *context)
{
	uint32_t end = engine->tables.control->services_next + 1;
	struct engine_service *services = calloc(AC_SERVICES_MAX, sizeof(*services));
	int err;

	if (!engine->shown)
		engine->shown = calloc(AC_SERVICES_MAX, sizeof(*engine->shown));
	if (!services || !engine->shown) {
		free(services);
		return -ENOMEM;
	}
	if (end > AC_SERVICES_MAX)
		end = AC_SERVICES_MAX;
	err = read_services(engine, services, end);
	for (uint32_t number = 0; number < end && !err; number++) {
		if (!services[number].stats.flows_opened)
			continue;
		keep_growing(&services[number].stats, &engine->shown[number]);
		if (visit(&services[number], context))
			break;
	}
	free(services);
	return err;
}

struct flow_visit {
	engine_flow_visit *visit;
	void *context;
};

static int take_flow(const struct ac_flow_record *r, void *context)
{
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
	memcpy(flow.comm, r->flow.comm, sizeof(flow.comm));
	return v->visit(&flow, v->context);
}

int engine_flows(struct engine *engine, engine_flow_visit *visit, void *context)
{
	struct flow_visit v = { visit, context };

	return walk_flows(engine, take_flow, &v);
}

const struct engine_feature *engine_features(struct engine *engine, size_t *count)
{
	features_note_unseen(&engine->features, engine->tables.control->unseen);
	*count = engine->features.count;
	return engine->features.list;
}
