/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What the kernel side has counted: services and flows, for status, metrics and advice. */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/inside.h"
#include "engine/walk.h"

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
		engine_stats_add(&services[number].stats, &live[number].stats);
		services[number].managed = live[number].managed;
	}
	return err;
}

void engine_weigh(struct engine *engine)
{
	/* The walk does it on its way. Nobody reads what it adds up. */
	walk_add_up(engine);
}

/* One past the last number that was ever taken. */
static uint32_t services_end(const struct engine *engine)
{
	uint32_t end = engine->tables.control->services_next + 1;

	return end < AC_SERVICES_MAX ? end : AC_SERVICES_MAX;
}

static int read_services(struct engine *engine, struct engine_service *services, uint32_t end)
{
	int keys = objects_map(&engine->shared, "service_keys");

	for (uint32_t number = 0; number < end; number++) {
		struct engine_service *service = &services[number];

		service->number = number;
		if (!bpf_map_lookup_elem(keys, &number, &service->key))
			engine_tables_sum(&engine->tables, number, &service->stats);
	}
	engine_stats_add(&services[0].stats, recycler_gone(engine->recycler));
	return add_live(engine, services, end);
}

void engine_totals(const struct engine *engine, struct ac_service_stats *totals)
{
	*totals = *recycler_gone(engine->recycler);
	for (uint32_t number = 0; number < services_end(engine); number++)
		engine_tables_sum(&engine->tables, number, totals);
}

int engine_services(struct engine *engine, engine_service_visit *visit, void *context)
{
	uint32_t end = services_end(engine);
	struct engine_service *services = calloc(AC_SERVICES_MAX, sizeof(*services));
	int err;

	if (!engine->shown)
		engine->shown = calloc(AC_SERVICES_MAX, sizeof(*engine->shown));
	if (!services || !engine->shown) {
		free(services);
		return -ENOMEM;
	}
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
	const struct engine *engine;
	engine_flow_visit *visit;
	void *context;
	double wait_us[AC_SERVICES_MAX]; /* that a packet saved spared, by service; below 0: not looked at */
};

static double wait_per_packet(struct flow_visit *v, uint32_t service)
{
	struct ac_service_stats sum = { 0 };

	if (service >= AC_SERVICES_MAX)
		return 0;
	if (v->wait_us[service] < 0) {
		engine_tables_sum(&v->engine->tables, service, &sum);
		v->wait_us[service] = sum.held ? (double)sum.saved_wait_us / sum.held : 0;
	}
	return v->wait_us[service];
}

static int take_flow(const struct ac_flow_record *r, void *context)
{
	struct flow_visit *v = context;
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
		.saved_wait_us = (uint64_t)(r->flow.held * wait_per_packet(v, r->flow.service)),
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
	struct flow_visit v = { .engine = engine, .visit = visit, .context = context };

	for (uint32_t service = 0; service < AC_SERVICES_MAX; service++)
		v.wait_us[service] = -1;
	return walk_flows(engine, take_flow, &v);
}

const struct engine_feature *engine_features(struct engine *engine, size_t *count)
{
	features_note_unseen(&engine->features, engine->tables.control->unseen);
	*count = engine->features.count;
	return engine->features.list;
}
