/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The engine: the BPF programs in the kernel, seen from the agent. It loads and attaches what the kernel offers, fills
 * the policy tables, keeps the heartbeat and the release process, and gives every flow back when it stops.
 */
#pragma once
#include <autocork/response_sum.h>
#include <autocork/service.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/fault.h"
#include "policy/set.h"

struct engine;

struct engine_options {
	/* cgroup v2 directory whose flows are handled; NULL = the root, found from the mounts */
	const char *cgroup;
	unsigned int max_flows; /* followed at once; 0 = AC_FLOWS_DEFAULT */
	bool without_fentry;	/* force the tracepoint fallback */
	bool without_wrappers;	/* force observe-only */
	bool few_descriptors;	/* as many as it takes to observe, not more */
};

/* A kernel feature that was tried. */
struct engine_feature {
	const char *name; /* "fentry", "wrapper cubic", "write hook" … */
	bool works;
	char reason[160];    /* why not, or which variant is used */
	const char *without; /* what then does not work */
	const char *mend;    /* how to get it */
};

/* Loads and attaches everything. On failure nothing stays in the kernel. */
int engine_start(struct engine **engine, const struct engine_options *options, struct fault *fault);
/* Gives every flow its own congestion control back, detaches, frees. NULL is allowed. */
void engine_stop(struct engine *engine);

/* Puts a compiled policy set in force for new flows, and for existing ones where a policy adopts. */
int engine_apply(struct engine *engine, const struct policy_set *set, struct fault *fault);

/* One descriptor to poll for EPOLLIN; then call engine_dispatch(), which never blocks. */
int engine_fd(const struct engine *engine);
int engine_dispatch(struct engine *engine);
/* To be called every ENGINE_BEAT_MS: refreshes the heartbeat without which no write is held. */
#define ENGINE_BEAT_MS 250
void engine_beat(struct engine *engine);
/* Refreshes the heartbeat alone, for what keeps the loop from its next beat. Beats count the time, this does not. */
void engine_stay_alive(struct engine *engine);

/* Visits every service with its totals over all CPUs. A visitor returns non-zero to stop. */
struct engine_service {
	uint32_t number;
	struct ac_service_key key;
	struct ac_service_stats stats;
	uint64_t managed; /* open flows on a wrapper */
};
typedef int engine_service_visit(const struct engine_service *service, void *context);
int engine_services(struct engine *engine, engine_service_visit *visit, void *context);

/* What all services have counted, without what open flows and their sockets will add when they end: cheap. */
void engine_totals(const struct engine *engine, struct ac_service_stats *totals);

/*
 * Events of single flows (include/autocork/event.h). `types`: AC_EVENT_BIT() of those wanted, 0 = none, which costs
 * nothing. The ring buffer's map descriptor is the engine's; who listens reads from it.
 */
/* Returns 0, or -1 where this kernel cannot tell of responses. */
int engine_event_types(struct engine *engine, uint32_t types, struct fault *fault);
int engine_event_ring(const struct engine *engine);
/* Connections that were not followed because there were max_flows already; grows. */
uint64_t engine_flows_lost(const struct engine *engine);
uint64_t engine_events_lost(const struct engine *engine);
/* What is counted of flows that are only observed stands for so many from now on; 0: they are not looked at. */
void engine_sample(struct engine *engine, unsigned int weight);

/* One live flow, as the iterator saw it. */
struct engine_flow {
	uint64_t cookie;	       /* socket cookie, unique per boot */
	uint64_t netns;		       /* inode number of the network namespace */
	uint8_t local[16], remote[16]; /* IPv6, or v4-mapped */
	uint16_t local_port, remote_port;
	uint8_t side, mode, wrapper, refusal; /* enum ac_side, ac_mode, ac_wrapper, ac_refusal */
	uint32_t service, policy;
	uint64_t writes, written_bytes, bursts, held, misses;
	uint64_t saved_wait_us; /* its share of the service's, by the packets it saved: kept by flow it would cost each
				 * record */
	uint64_t segments;	/* data segments sent */
	uint64_t age_us;
	char comm[AC_COMM_LEN];
};
typedef int engine_flow_visit(const struct engine_flow *flow, void *context);
int engine_flows(struct engine *engine, engine_flow_visit *visit, void *context);

/*
 * Responses added up by pattern (include/autocork/response_sum.h) from now on, of flows with this port, local or
 * remote, or of all (0). Each watch counts for itself.
 */
struct engine_watch;
struct engine_response {
	struct ac_service_key service;
	bool other; /* patterns for which there was no room: no service and no calls */
	struct ac_response_calls calls;
	struct ac_response_sum sum;
};
typedef int engine_response_visit(const struct engine_response *response, void *context);
int engine_watch_start(struct engine *engine, uint16_t port, struct engine_watch **watch, struct fault *fault);
int engine_watch_read(const struct engine_watch *watch, engine_response_visit *visit, void *context);
/* NULL is allowed. Before engine_stop(). */
void engine_watch_stop(struct engine_watch *watch);

/* Tries what only somebody's question is worth: some programs are loaded when they are asked for. Once. */
void engine_try_rest(struct engine *engine);
/* The features tried, in the order tried. */
const struct engine_feature *engine_features(struct engine *engine, size_t *count);
