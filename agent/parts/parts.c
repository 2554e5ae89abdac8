/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What runs inside the agent beside the engine: a feature adds its row to the table. */
#include <stdlib.h>
#include <string.h>

#include "daemon/daemon.h"
#include "parts/fastpath_part.h"
#include "lib/log.h"
#include "parts/cgroups_part.h"
#include "parts/endpoint_part.h"
#include "parts/files_part.h"
#include "telemetry/telemetry.h"
#include "parts/steer_part.h"

const struct daemon_part daemon_parts[] = {
	{ "policy", policy_part_start, policy_part_stop, policy_part_reloaded, NULL, policy_part_unmet },
	{ "files", files_part_start, files_part_stop, NULL, NULL, NULL },
	{ "telemetry", telemetry_start, telemetry_stop, telemetry_reloaded, telemetry_status, NULL },
	{ "steer", steer_part_start, steer_part_stop, steer_part_reloaded, steer_part_status, steer_part_unmet },
	{ "endpoint", endpoint_part_start, endpoint_part_stop, endpoint_part_reloaded, endpoint_part_status, NULL },
	{ "fastpath", fastpath_part_start, fastpath_part_stop, fastpath_part_reloaded, fastpath_part_status,
	  fastpath_part_unmet },
	{ 0 },
};

/* The row of zeros at the end is none. */
const size_t daemon_part_count = sizeof(daemon_parts) / sizeof(daemon_parts[0]) - 1;

int daemon_parts_start(struct daemon *daemon, struct fault *fault)
{
	daemon->part_data = calloc(daemon_part_count + 1, sizeof(*daemon->part_data));
	if (!daemon->part_data)
		return fault_set(fault, EXIT_FAILED, "agent: out of memory");
	for (; daemon->parts_started < daemon_part_count; daemon->parts_started++) {
		const struct daemon_part *part = &daemon_parts[daemon->parts_started];

		log_debug("%s starts", part->name);
		if (part->start && part->start(daemon, &daemon->part_data[daemon->parts_started], fault))
			return -1;
	}
	return 0;
}

void daemon_parts_stop(struct daemon *daemon)
{
	while (daemon->parts_started) {
		const struct daemon_part *part = &daemon_parts[--daemon->parts_started];

		if (part->stop)
			part->stop(daemon->part_data[daemon->parts_started]);
	}
	free(daemon->part_data);
	daemon->part_data = NULL;
}

void daemon_parts_reloaded(struct daemon *daemon)
{
	for (size_t i = 0; i < daemon->parts_started; i++) {
		if (!daemon_parts[i].reloaded)
			continue;
		daemon_stay_alive(daemon);
		daemon_parts[i].reloaded(daemon, daemon->part_data[i]);
	}
}

void daemon_parts_status(struct daemon *daemon, json_t *status)
{
	for (size_t i = 0; i < daemon->parts_started; i++)
		if (daemon_parts[i].status)
			daemon_parts[i].status(daemon, daemon->part_data[i], status);
}

const char *daemon_parts_unmet(const struct daemon *daemon)
{
	const char *why = NULL;

	for (size_t i = 0; !why && i < daemon->parts_started; i++)
		if (daemon_parts[i].unmet)
			why = daemon_parts[i].unmet(daemon, daemon->part_data[i]);
	return why;
}

void *daemon_part_data(const struct daemon *daemon, const char *name)
{
	for (size_t i = 0; i < daemon->parts_started; i++)
		if (!strcmp(daemon_parts[i].name, name))
			return daemon->part_data[i];
	return NULL;
}
