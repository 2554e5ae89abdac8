/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "fake_engine.h"

#include <sys/eventfd.h>

struct fake_engine fake_engine;

int engine_start(struct engine **engine, const struct engine_options *options, struct fault *fault)
{
	*engine = NULL;
	return 0;
}

void engine_stop(struct engine *engine)
{
}

int engine_apply(struct engine *engine, const struct policy_set *set, struct fault *fault)
{
	if (fake_engine.refuse_policies)
		return fault_set(fault, EXIT_FAILED, "policies: refused: by the test");
	fake_engine.applied++;
	fake_engine.policies = set->policy_count;
	return 0;
}

int engine_fd(const struct engine *engine)
{
	static int fd = -1;

	/* Readable never. */
	if (fd < 0)
		fd = eventfd(0, EFD_CLOEXEC);
	return fd;
}

int engine_dispatch(struct engine *engine)
{
	return 0;
}

void engine_beat(struct engine *engine)
{
	fake_engine.beats++;
}

void engine_stay_alive(struct engine *engine)
{
	fake_engine.stayed_alive++;
}

int engine_services(struct engine *engine, engine_service_visit *visit, void *context)
{
	for (size_t i = 0; i < fake_engine.service_count; i++) {
		int result = visit(&fake_engine.services[i], context);

		if (result)
			return result;
	}
	return 0;
}

int engine_flows(struct engine *engine, engine_flow_visit *visit, void *context)
{
	for (size_t i = 0; i < fake_engine.flow_count; i++) {
		int result = visit(&fake_engine.flows[i], context);

		if (result)
			return result;
	}
	return 0;
}

const struct engine_feature *engine_features(struct engine *engine, size_t *count)
{
	*count = fake_engine.feature_count;
	return fake_engine.features;
}

int engine_event_types(struct engine *engine, uint32_t types, struct fault *fault)
{
	fake_engine.event_types = types;
	return 0;
}

int engine_event_ring(const struct engine *engine)
{
	return -1;
}

void engine_totals(const struct engine *engine, struct ac_service_stats *totals)
{
	*totals = (struct ac_service_stats){ 0 };
}

uint64_t engine_flows_lost(const struct engine *engine)
{
	(void)engine;
	return 0;
}

uint64_t engine_events_lost(const struct engine *engine)
{
	return 0;
}

void engine_sample(struct engine *engine, unsigned int weight)
{
	fake_engine.weight = weight;
}

int engine_watch_start(struct engine *engine, uint16_t port, struct engine_watch **watch, struct fault *fault)
{
	if (fake_engine.refuse_watches)
		return fault_set(fault, EXIT_UNSUPPORTED, "responses: refused: by the test");
	fake_engine.watches++;
	fake_engine.watched_port = port;
	*watch = (struct engine_watch *)&fake_engine;
	return 0;
}

int engine_watch_read(const struct engine_watch *watch, engine_response_visit *visit, void *context)
{
	for (size_t i = 0; i < fake_engine.response_count; i++) {
		int result = visit(&fake_engine.responses[i], context);

		if (result)
			return result;
	}
	return 0;
}

void engine_watch_stop(struct engine_watch *watch)
{
	fake_engine.watches -= watch != NULL;
}

void engine_try_rest(struct engine *engine)
{
	fake_engine.tried_rest++;
}
