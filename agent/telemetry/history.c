/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "telemetry/history.h"

void history_add(struct history *history, double time, const struct ac_service_stats *totals)
{
	struct history_sample *sample = &history->samples[(history->first + history->count) % HISTORY_SAMPLES];

	*sample =
		(struct history_sample){ time, totals->writes, totals->held, totals->misses, ac_shadow_saved(totals) };
	if (history->count < HISTORY_SAMPLES)
		history->count++;
	else
		history->first = (history->first + 1) % HISTORY_SAMPLES;
}

/* A counter that fell was begun anew: then nothing is known of that stretch. */
static json_t *rate(uint64_t now, uint64_t before, double seconds)
{
	return now >= before && seconds > 0 ? json_real((now - before) / seconds) : json_null();
}

json_t *history_json(const struct history *history)
{
	json_t *time = json_array(), *writes = json_array(), *held = json_array(), *misses = json_array();
	json_t *shadow = json_array();

	for (size_t i = 1; i < history->count; i++) {
		const struct history_sample *a = &history->samples[(history->first + i - 1) % HISTORY_SAMPLES];
		const struct history_sample *b = &history->samples[(history->first + i) % HISTORY_SAMPLES];
		double seconds = b->time - a->time;

		json_array_append_new(time, json_real(b->time));
		json_array_append_new(writes, rate(b->writes, a->writes, seconds));
		json_array_append_new(held, rate(b->held, a->held, seconds));
		json_array_append_new(misses, rate(b->misses, a->misses, seconds));
		json_array_append_new(shadow, rate(b->shadow_held, a->shadow_held, seconds));
	}
	return json_pack("{so so so so so}", "time", time, "writes", writes, "held", held, "misses", misses,
			 "shadow_held", shadow);
}
