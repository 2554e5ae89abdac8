/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Which events somebody listens to, and what was lost. */
#include <autocork/event.h>
#include <string.h>

#include "engine/inside.h"

int engine_event_types(struct engine *engine, uint32_t types, struct fault *fault)
{
	const struct ac_response_watch each = { 0 };
	bool responses = types & (AC_EVENT_BIT(AC_EVENT_RESPONSE) | AC_EVENT_OF_CALLS);
	int err = responses ? responses_start(&engine->responses, &each, &engine->shared, engine->cgroup) : 0;

	if (!responses)
		responses_stop(&engine->responses);
	if (err)
		return fault_set(fault, EXIT_UNSUPPORTED, RESPONSES_REFUSED, objects_why(err));
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
