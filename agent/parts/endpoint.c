/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "parts/endpoint.h"

#include <stdlib.h>

#include "endpoint-broker/broker.h"
#include "lib/log.h"

struct endpoint_part {
	struct broker *broker;	/* NULL: it could not start, or no policy asks for it yet */
};

static bool is_wanted(const struct policy_set *set)
{
	for (size_t i = 1; i < set->policy_count; i++)
		if (set->origins[i].config.steer == POLICY_STEER_ENDPOINT)
			return true;
	return false;
}

static void start(struct daemon *daemon, struct endpoint_part *part)
{
	struct fault fault;

	if (!part->broker && is_wanted(daemon->policy) &&
	    broker_start(&part->broker, daemon->loop, ENDPOINT_SOCKET, (const struct policy_set *const *)&daemon->policy,
			 &fault))
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

int endpoint_op(struct daemon *daemon, struct control_client *client, const json_t *request, struct fault *fault)
{
	const struct endpoint_part *part = daemon_part_data(daemon, "endpoint");

	if (json_object_size(request) != 1)
		return fault_set(fault, EXIT_USAGE, "endpoint: it takes no arguments: send {\"op\": \"endpoint\"}");
	control_reply(client, json_pack("{so}", "instances",
					part && part->broker ? broker_instances(part->broker) : json_array()));
	return 0;
}
