/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Who listens to events: reads the kernel's ring while anybody does, and hands each listener what its filter asks for.
 */
#pragma once
#include "daemon/daemon.h"
#include "telemetry/unit_names.h"

struct event_hub;

struct event_hub *event_hub_new(struct daemon *daemon, struct unit_names *names);
void event_hub_free(struct event_hub *hub);
/* The "events" operation: a stream of items in the shape of event_json(). */
int event_hub_subscribe(struct event_hub *hub, struct control_client *client, const json_t *request,
			struct fault *fault);
/* An event of the agent's own: its type and the members that say more. Takes the reference. */
void event_hub_note(struct event_hub *hub, uint32_t type, json_t *detail);
/* Events that found no room, in the ring or at a listener that reads too slowly. */
uint64_t event_hub_lost(const struct event_hub *hub);
