/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "telemetry/overview.h"

#include <stdlib.h>

#include "lib/names.h"
#include "telemetry/advice.h"
#include "telemetry/series.h"

#define N(value) ((json_int_t)(value))

static int by_writes(const void *x, const void *y)
{
	const struct telemetry_service *a = x, *b = y;

	return (a->stats.writes < b->stats.writes) - (a->stats.writes > b->stats.writes);
}

static json_t *released_json(const struct ac_service_stats *stats)
{
	json_t *released = json_object();

	for (size_t i = 0; i < AC_REASON_MAX; i++)
		json_object_set_new(released, reason_names[i], json_integer(stats->released[i]));
	return released;
}

/* [[upper bound in µs or null, count], …] without the empty ends. */
static json_t *hold_json(const struct ac_service_stats *stats)
{
	json_t *list = json_array();
	size_t first = 0, end = AC_BUCKETS;

	while (first < end && !stats->hold_time[first])
		first++;
	while (end > first && !stats->hold_time[end - 1])
		end--;
	for (size_t i = first; i < end; i++)
		json_array_append_new(list, json_pack("[oI]",
						      i + 1 < AC_BUCKETS ? json_integer(ac_bucket_top(i)) : json_null(),
						      N(stats->hold_time[i])));
	return list;
}

static json_t *totals_json(const struct ac_service_stats *stats)
{
	uint64_t live = stats->flows_opened > stats->flows_closed ? stats->flows_opened - stats->flows_closed : 0;

	return json_pack("{sI sI sI sI sI sI sI sI sI so so}", "flows", N(live), "writes", N(stats->writes),
			 "written_bytes", N(stats->written_bytes), "bursts", N(stats->bursts), "held", N(stats->held),
			 "misses", N(stats->misses), "shadow_held", N(ac_shadow_saved(stats)), "shadow_misses",
			 N(stats->shadow_misses), "shadow_stall_us", N(stats->shadow_stall_us), "released",
			 released_json(stats), "hold_time_us", hold_json(stats));
}

static json_t *advice_json(const struct telemetry_service *service, double seconds)
{
	const struct ac_service_stats *stats = &service->stats;
	struct advice_counts counts = {
		.writes = stats->writes,
		.bursts = stats->bursts,
		.inferred_bursts = stats->inferred_bursts,
		.held = stats->held,
		.misses = stats->misses,
		.shadow_held = stats->shadow_held,
		.shadow_misses = stats->shadow_misses,
		.shadow_merged = stats->shadow_merged,
		.shadow_stall_us = stats->shadow_stall_us,
		.corked = stats->more_writes + stats->option_calls[AC_OPTION_CORK],
		.opened = stats->flows_opened,
		.managed = stats->flows_managed,
	};
	struct advice advice = advice_make(service->port, service->side, service->comm, &counts, seconds);

	return json_pack("{ss ss sf sf sf sf sf sf sf}", "id", advice.id, "verdict",
			 advice_verdict_name(advice.verdict), "stall_seconds_per_second", advice.stall_s_per_s,
			 "stall_seconds_per_burst", advice.stall_s_per_burst, "packets_per_second",
			 advice.packets_per_s, "saved_share", advice.saved_share, "cpu_share", advice.cpu_share,
			 "misses_per_second", advice.misses_per_s, "confidence", advice.confidence);
}

static json_t *service_json(const struct telemetry_service *service, double seconds)
{
	json_t *object = totals_json(&service->stats);

	json_object_set_new(object, "port", service->overflow ? json_null() : json_integer(service->port));
	json_object_set_new(object, "side",
			    json_string(service->side < AC_SIDE_MAX ? side_names[service->side] : "any"));
	json_object_set_new(object, "program", json_string(service->comm));
	json_object_set_new(object, "unit", json_string(service->unit));
	json_object_set_new(object, "advice", advice_json(service, seconds));
	return object;
}

json_t *overview_json(struct telemetry_snapshot *snapshot, const struct history *history, double now, const char *mode)
{
	struct ac_service_stats *totals = calloc(1, sizeof(*totals));
	double seconds = now - snapshot->agent.start_time;
	json_t *services = json_array(), *overview;

	if (!totals || !services) {
		free(totals);
		json_decref(services);
		return NULL;
	}
	snapshot->service_count = services_merge(snapshot->services, snapshot->service_count);
	for (size_t i = 0; i < snapshot->service_count; i++)
		service_stats_add(totals, &snapshot->services[i].stats);
	qsort(snapshot->services, snapshot->service_count, sizeof(*snapshot->services), by_writes);
	for (size_t i = 0; i < snapshot->service_count && i < OVERVIEW_SERVICES; i++)
		json_array_append_new(services, service_json(&snapshot->services[i], seconds));
	overview = json_pack("{sf ss ss sf sf sb so so so}", "time", now, "version", snapshot->agent.version, "mode",
			     mode, "uptime_seconds", seconds, "sampling", snapshot->agent.sampling, "reload_good",
			     snapshot->agent.reload_good, "totals", totals_json(totals), "services", services,
			     "history", history_json(history));
	free(totals);
	return overview;
}
