/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "fastpath-client/fastpath_json.h"

#include <time.h>

#include "fastpath-client/fastpath_stats.h"
#include "lib/clock.h"
#include "lib/json.h"

#define STALLED_S 3 /* a living process beats four times a second */

static json_t *queue_json(const struct fastpath_queue *queue)
{
	json_t *counters = json_object(), *made;

	for (size_t i = 0; i < fastpath_counter_count; i++)
		json_object_set_new(counters, fastpath_counters[i].name,
				    json_integer(fastpath_counter_value(queue, &fastpath_counters[i])));
	made = json_pack("{si si si}", "port", queue->port, "queue", queue->queue, "core", queue->core);
	json_object_set_new(made, "interface", json_text(queue->interface, sizeof(queue->interface)));
	json_object_set_new(made, "counters", counters);
	return made;
}

static const char *state_of(const struct fastpath_file *file, bool alive)
{
	if (!alive)
		return "dead";
	return monotonic_ns() / 1000000000 > file->beat + STALLED_S ? "stalled" : "running";
}

static void add(const struct fastpath_file *file, bool alive, void *context)
{
	json_t *queues = json_array(), *instance;
	uint64_t packets = 0, cycles = 0;

	for (uint32_t i = 0; i < file->queues; i++) {
		packets += file->queue[i].rx_packets;
		cycles += file->queue[i].busy_cycles;
		json_array_append_new(queues, queue_json(&file->queue[i]));
	}
	instance = json_pack("{ss si sI sf}", "state", state_of(file, alive), "pid", (int)file->pid, "uptime_seconds",
			     (json_int_t)(time(NULL) - file->started), "cycles_per_packet",
			     packets ? (double)cycles / packets : 0.0);
	json_object_set_new(instance, "name", json_text(file->name, sizeof(file->name)));
	json_object_set_new(instance, "job", json_text(file->job, sizeof(file->job)));
	json_object_set_new(instance, "queues", queues);
	json_array_append_new(context, instance);
}

json_t *fastpath_json(const char *dir)
{
	json_t *instances = json_array();

	fastpath_stats_each(dir, add, instances);
	return json_pack("{so}", "instances", instances);
}
