/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include <autocork/event.h>
#include <string.h>

#include "engine/inside.h"

void engine_listen(struct engine *engine)
{
	/* Who watches is told of nothing, but short connections are followed all, as for who listens. */
	uint32_t types = engine->event_types | (engine->watches ? AC_EVENT_BIT(AC_EVENT_RESPONSE) : 0);

	__atomic_store_n(&engine->tables.control->event_mask, types, __ATOMIC_RELAXED);
}

int engine_event_types(struct engine *engine, uint32_t types, struct fault *fault)
{
	const struct ac_response_watch each = { 0 };
	bool responses = types & AC_EVENT_BIT(AC_EVENT_RESPONSE);
	int err = responses ? responses_start(&engine->responses, &each, &engine->shared, engine->cgroup) : 0;

	if (!responses)
		responses_stop(&engine->responses);
	if (err)
		return fault_set(fault, EXIT_UNSUPPORTED, RESPONSES_REFUSED, strerror(-err));
	engine->event_types = types;
	engine_listen(engine);
	return 0;
}

int engine_event_ring(const struct engine *engine)
{
	return objects_map(&engine->shared, "events");
}

uint64_t engine_flows_lost(const struct engine *engine)
{
	return __atomic_load_n(&engine->tables.control->flows_lost, __ATOMIC_RELAXED);
}

uint64_t engine_events_lost(const struct engine *engine)
{
	return __atomic_load_n(&engine->tables.control->lost_events, __ATOMIC_RELAXED);
}

void engine_sample(struct engine *engine, unsigned int shift)
{
	__atomic_store_n(&engine->tables.control->sample_mask, (1ull << shift) - 1, __ATOMIC_RELAXED);
	engine_weigh(engine);
}
