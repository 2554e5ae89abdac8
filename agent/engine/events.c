/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "engine/inside.h"

void engine_event_types(struct engine *engine, uint32_t types)
{
	__atomic_store_n(&engine->tables.control->event_mask, types, __ATOMIC_RELAXED);
}

int engine_event_ring(const struct engine *engine)
{
	return objects_map(&engine->shared, "events");
}

uint64_t engine_events_lost(const struct engine *engine)
{
	return __atomic_load_n(&engine->tables.control->lost_events, __ATOMIC_RELAXED);
}

void engine_sample(struct engine *engine, unsigned int shift)
{
	__atomic_store_n(&engine->tables.control->sample_mask, (1ull << shift) - 1, __ATOMIC_RELAXED);
}
