/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include <autocork/event.h>
#include <string.h>

#include "engine/inside.h"

int engine_event_types(struct engine *engine, uint32_t types, struct fault *fault)
{
	bool responses = types & AC_EVENT_BIT(AC_EVENT_RESPONSE);
	int err = responses ? responses_start(&engine->responses, &engine->shared, engine->cgroup) : 0;

	if (!responses)
		responses_stop(&engine->responses);
	if (err)
		return fault_set(fault, EXIT_UNSUPPORTED,
				 "responses: cannot be watched: %s: it takes a kernel from 6.15 on", strerror(-err));
	__atomic_store_n(&engine->tables.control->event_mask, types, __ATOMIC_RELAXED);
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
