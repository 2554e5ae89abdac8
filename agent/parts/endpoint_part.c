/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "parts/endpoint_part.h"

#include <autocork/event.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "endpoint-broker/broker.h"
#include "lib/log.h"
#include "steer/steer_tables.h"
#include "telemetry/telemetry.h"

struct endpoint_part {
	struct broker *broker; /* NULL: it could not start, or no policy asks for it yet */
};

static bool is_wanted(const struct policy_set *set)
{
	for (size_t i = 1; i < set->policy_count; i++)
		if (set->origins[i].config.steer == POLICY_STEER_ENDPOINT)
			return true;
	return false;
}

static void on_event(void *context, json_t *event)
{
	telemetry_note(context, AC_EVENT_ENDPOINT, event);
}

static void start(struct daemon *daemon, struct endpoint_part *part)
{
	struct fault fault;

	if (!part->broker && is_wanted(daemon->policy) &&
	    broker_start(&part->broker, daemon->loop, ENDPOINT_SOCKET,
			 (const struct policy_set *const *)&daemon->policy, on_event, daemon, &fault))
		log_warning("%s", fault.text);
}

int endpoint_part_start(struct daemon *daemon, void **data, struct fault *fault)
{
	struct endpoint_part *part = calloc(1, sizeof(*part));

	if (!part)
		return fault_set(fault, EXIT_FAILED, "endpoint: out of memory");
	start(daemon, part);
	*data = part;
	return 0;
}

void endpoint_part_stop(void *data)
{
	struct endpoint_part *part = data;

	broker_stop(part->broker);
	free(part);
}

void endpoint_part_reloaded(struct daemon *daemon, void *data)
{
	struct endpoint_part *part = data;

	if (!daemon->reload.ok)
		return;
	start(daemon, part);
	if (part->broker)
		broker_reloaded(part->broker);
}

void endpoint_part_status(struct daemon *daemon, void *data, json_t *status)
{
	const struct endpoint_part *part = data;

	json_object_set_new(status, "endpoint", part->broker ? broker_instances(part->broker) : json_array());
}

/* What keeps programs from a queue, or "": reason and fix. */
static const char *find_hindrance(const struct daemon *daemon, const struct endpoint_part *part, char *reason,
				  size_t size)
{
	const struct policy_set *set = daemon->policy;
	struct steer_tables tables;
	struct fault fault;
	int sock;

	snprintf(reason, size, "%s is not there", ENDPOINT_SOCKET);
	if (!part->broker)
		return "look at the agent's log, remove what is in its place, and reload the policies";
	sock = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (sock < 0) {
		snprintf(reason, size, "the agent may not open AF_XDP sockets: %s", strerror(errno));
		return "put packaging/endpoint.conf into /etc/systemd/system/autocorkd.service.d/ and restart the agent";
	}
	close(sock);
	for (size_t i = 1; i < set->policy_count; i++) {
		const struct policy_config *config = &set->origins[i].config;

		if (config->steer != POLICY_STEER_ENDPOINT)
			continue;
		snprintf(reason, size, "%s: the interface does not exist", config->interface);
		if (!if_nametoindex(config->interface))
			return "correct `interface` in the policy, or wait for the interface";
		snprintf(reason, size, "%s: its steering is not attached", config->interface);
		if (tables_open(&tables, config->interface, &fault))
			return "see `autocork steer status` and the agent's log";
		tables_close(&tables);
	}
	return "";
}

void endpoint_part_doctor(struct daemon *daemon, json_t *features)
{
	const struct endpoint_part *part = daemon_part_data(daemon, "endpoint");
	struct broker_sum sum;
	char reason[160];
	const char *fix;

	if (!part || !is_wanted(daemon->policy))
		return;
	fix = find_hindrance(daemon, part, reason, sizeof(reason));
	if (!*fix && endpoint_part_sum(daemon, &sum))
		snprintf(reason, sizeof(reason), "%u programs have a queue (`autocork run` says why one has none)",
			 sum.programs);
	json_array_append_new(features,
			      json_pack("{ss sb ss ss ss}", "name", "endpoint", "works", !*fix, "reason", reason,
					"without",
					"the kernel's TCP serves the ports of policies with steer = endpoint, as it "
					"always does for static programs and Go's",
					"fix", fix));
}

bool endpoint_part_sum(struct daemon *daemon, struct broker_sum *sum)
{
	const struct endpoint_part *part = daemon_part_data(daemon, "endpoint");

	if (!part || !part->broker)
		return false;
	broker_sum(part->broker, sum);
	return true;
}

int endpoint_op(struct daemon *daemon, struct control_client *client, const json_t *request, struct fault *fault)
{
	const struct endpoint_part *part = daemon_part_data(daemon, "endpoint");

	if (json_object_size(request) != 1)
		return fault_set(fault, EXIT_USAGE, "endpoint: it takes no arguments: send {\"op\": \"endpoint\"}");
	control_reply(client, json_pack("{so}", "instances",
					part && part->broker ? broker_instances(part->broker) : json_array()));
	return 0;
}
