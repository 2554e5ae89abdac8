/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Gives queues of interfaces to programs that serve their connections themselves (protocol.h says how they ask,
 * docs/endpoint.md what for). Anybody may connect: the policies and the socket that comes with the request decide.
 */
#pragma once
#include <jansson.h>
#include <systemd/sd-event.h>

#include "endpoint-broker/protocol.h"
#include "lib/fault.h"
#include "policy/set.h"

#define BROKER_INSTANCES_MAX 256

struct broker;

/* {"what": "started", "joined", "handed_over" or "ended", "reason" (null but for hand-overs), "pid", ...}: it takes the
 * object. */
typedef void broker_event(void *context, json_t *event);

/* The loop and what `policies` points to must outlive it: the set in force is looked up at each request. */
int broker_start(struct broker **broker, sd_event *loop, const char *path, const struct policy_set *const *policies,
		 broker_event *event, void *context, struct fault *fault);
void broker_stop(struct broker *broker);

/* The policies changed: an instance whose port no policy gives to endpoints any more gets no new connections. */
void broker_reloaded(struct broker *broker);

/* [{"pid", "program", "uid", "interface", "queue", "ports": [...], "handed_over_for": {...}, counters...}] */
json_t *broker_instances(const struct broker *broker);
/* For the metrics. The counters are also those of programs that have ended since the agent started. */
struct broker_sum {
	unsigned programs;
	struct endpoint_page page;
	uint64_t moved[ENDPOINT_REASON_MAX];
};
void broker_sum(const struct broker *broker, struct broker_sum *sum);
