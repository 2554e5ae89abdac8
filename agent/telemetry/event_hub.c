/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "telemetry/event_hub.h"

#include <autocork/event.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "telemetry/event_format.h"

/* Records read in one turn of the loop. Programs may write faster than an agent reads: the others must have turns. */
#define RECORDS_PER_TURN 256
/* All that can lie in the ring at once; the kernel puts 8 bytes before each record. */
#define RECORDS_IN_RING (AC_EVENT_RING_BYTES / (sizeof(struct ac_event) + 8))

struct event_hub {
	struct daemon *daemon;
	struct unit_names *names;
	struct ring_buffer *ring;  /* NULL while nobody listens */
	unsigned int records_left; /* that may still be read in this turn */
	sd_event_source *source;
	struct listener *listeners;
	double boot;	      /* Unix time of CLOCK_MONOTONIC's zero */
	uint64_t kernel_lost; /* as last told to the listeners */
	uint64_t lost;	      /* at listeners */
};

/* The control socket may free it after the hub is gone. */
struct listener {
	struct event_hub *hub;
	struct listener *prev, *next;
	struct control_client *client;
	struct event_filter filter;
	uint64_t lost; /* not yet told */
};

static json_t *agent_event(uint32_t type, json_t *detail)
{
	json_t *event = json_pack("{sf ss}", "time", clock_seconds(CLOCK_REALTIME), "type", event_type_name(type));

	json_object_update(event, detail);
	json_decref(detail);
	return event;
}

static json_t *lost_event(uint64_t count, const char *where)
{
	return agent_event(AC_EVENT_LOST, json_pack("{sI ss}", "count", (json_int_t)count, "where", where));
}

static void push(struct listener *listener, json_t *event)
{
	/* First what was lost before, else it would seem to come later. */
	if (listener->lost) {
		if (!control_push(listener->client, lost_event(listener->lost, "listener"))) {
			listener->lost++;
			listener->hub->lost++;
			json_decref(event);
			return;
		}
		listener->lost = 0;
	}
	if (!control_push(listener->client, event)) {
		listener->lost++;
		listener->hub->lost++;
	}
}

static int on_record(void *context, void *data, size_t size)
{
	struct event_hub *hub = context;
	const struct ac_event *event = data;
	const struct policy_set *policy = hub->daemon->policy;
	struct event_names names;

	if (size < sizeof(*event))
		return 0;
	hub->records_left--;
	names.unit = unit_name(hub->names, event->flow.cgroup);
	names.policy = event->flow.policy < policy->policy_count ? policy->origins[event->flow.policy].name : NULL;
	names.time = hub->boot + event->time_ns * 1e-9;
	for (struct listener *l = hub->listeners; l; l = l->next)
		if (event_filter_wants(&l->filter, event, names.unit))
			push(l, event_json(event, &names));
	return hub->records_left ? 0 : -EAGAIN;
}

/* What is left makes the ring readable again. */
static void read_ring(struct event_hub *hub, unsigned int records)
{
	hub->records_left = records;
	ring_buffer__consume(hub->ring);
}

static int on_ring(sd_event_source *source, int fd, uint32_t events, void *context)
{
	struct event_hub *hub = context;
	uint64_t lost = engine_events_lost(hub->daemon->engine), more = lost - hub->kernel_lost;

	hub->boot = clock_seconds(CLOCK_REALTIME) - clock_seconds(CLOCK_MONOTONIC);
	read_ring(hub, RECORDS_PER_TURN);
	if (!more)
		return 0;
	hub->kernel_lost = lost;
	event_hub_note(hub, AC_EVENT_LOST, json_pack("{sI ss}", "count", (json_int_t)more, "where", "ring"));
	return 0;
}

static void stop_listening(struct event_hub *hub)
{
	if (!hub->ring)
		return;
	engine_event_types(hub->daemon->engine, 0, &(struct fault){ 0 });
	hub->source = sd_event_source_disable_unref(hub->source);
	ring_buffer__free(hub->ring);
	hub->ring = NULL;
}

/* Asks the kernel for the types that anybody wants. */
static int update_types(struct event_hub *hub, struct fault *fault)
{
	uint32_t types = 0;

	for (const struct listener *l = hub->listeners; l; l = l->next)
		types |= l->filter.types;
	types &= AC_EVENT_FROM_KERNEL;
	if (!types) {
		stop_listening(hub);
		return 0;
	}
	if (!hub->ring) {
		hub->ring = ring_buffer__new(engine_event_ring(hub->daemon->engine), on_record, hub, NULL);
		if (!hub->ring)
			return fault_set(fault, EXIT_FAILED, "events: the ring cannot be read: %s: see the agent's log",
					 strerror(errno));
		if (sd_event_add_io(hub->daemon->loop, &hub->source, ring_buffer__epoll_fd(hub->ring), EPOLLIN, on_ring,
				    hub) < 0) {
			stop_listening(hub);
			return fault_set(fault, EXIT_FAILED, "events: no event source: see the limits on descriptors");
		}
		/* What was left in the ring, or lost, while nobody listened was for others. */
		hub->kernel_lost = engine_events_lost(hub->daemon->engine);
	}
	return engine_event_types(hub->daemon->engine, types, fault);
}

static void unlink_listener(struct listener *listener)
{
	struct event_hub *hub = listener->hub;

	if (!hub)
		return;
	if (listener->prev)
		listener->prev->next = listener->next;
	else
		hub->listeners = listener->next;
	if (listener->next)
		listener->next->prev = listener->prev;
	listener->hub = NULL;
}

static void listener_gone(void *context)
{
	struct listener *listener = context;
	struct event_hub *hub = listener->hub;
	struct fault fault;

	unlink_listener(listener);
	free(listener);
	if (hub && update_types(hub, &fault))
		log_error("%s", fault.text);
}

static json_t *last_words(void *context)
{
	uint64_t *lost = context;
	json_t *event = *lost ? lost_event(*lost, "listener") : NULL;

	*lost = 0;
	return event;
}

/* The client has seen enough: it gets what lies in the ring, what was lost and not told yet, and the end. */
static void listener_ends(void *context)
{
	struct listener *listener = context;
	struct control_client *client = listener->client;
	uint64_t *lost = calloc(1, sizeof(*lost));

	if (listener->hub && listener->hub->ring)
		read_ring(listener->hub, RECORDS_IN_RING);
	if (lost) {
		*lost = listener->lost;
		control_list(client, &(struct control_list){ last_words, free, lost });
	}
	listener_gone(listener);
}

int event_hub_subscribe(struct event_hub *hub, struct control_client *client, const json_t *request,
			struct fault *fault)
{
	struct listener *listener = calloc(1, sizeof(*listener));

	if (!listener)
		return fault_set(fault, EXIT_FAILED, "events: out of memory");
	if (event_filter_read(&listener->filter, request, fault)) {
		free(listener);
		return -1;
	}
	listener->hub = hub;
	listener->client = client;
	listener->next = hub->listeners;
	if (listener->next)
		listener->next->prev = listener;
	hub->listeners = listener;
	if (update_types(hub, fault)) {
		unlink_listener(listener);
		free(listener);
		if (!hub->listeners)
			stop_listening(hub);
		return -1;
	}
	control_subscribe(client, listener_gone, listener);
	control_on_end(client, listener_ends);
	return 0;
}

void event_hub_note(struct event_hub *hub, uint32_t type, json_t *detail)
{
	json_t *event = agent_event(type, detail);

	for (struct listener *l = hub->listeners; l; l = l->next)
		if (l->filter.types & AC_EVENT_BIT(type))
			push(l, json_incref(event));
	json_decref(event);
}

uint64_t event_hub_lost(const struct event_hub *hub)
{
	return hub->lost + engine_events_lost(hub->daemon->engine);
}

struct event_hub *event_hub_new(struct daemon *daemon, struct unit_names *names)
{
	struct event_hub *hub = calloc(1, sizeof(*hub));

	if (hub) {
		hub->daemon = daemon;
		hub->names = names;
	}
	return hub;
}

void event_hub_free(struct event_hub *hub)
{
	if (!hub)
		return;
	while (hub->listeners)
		unlink_listener(hub->listeners);
	stop_listening(hub);
	free(hub);
}
