/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What one page of metrics, one API answer or one screen is made of: plain values, read once, from the engine and the
 * agent. */
#pragma once
#include <autocork/service.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "endpoint-broker/broker.h"
#include "engine/engine.h"
#include "fastpath-client/fastpath_stats.h"
#include "steer/steer.h"
#include "telemetry/unit_names.h"

/* A service as users name it, cgroups by name. */
struct telemetry_service {
	uint16_t port;
	uint8_t side;			  /* enum ac_side */
	bool overflow;			  /* the engine's service number 0 */
	char comm[AC_COMM_LEN * 4 + 1];	  /* clean text, see text.h */
	char unit[UNIT_NAME_LEN];	  /* systemd unit or cgroup; "" = the root, "-" = it is gone */
	char container[CONTAINER_ID_LEN]; /* "" = none */
	struct ac_service_stats stats;
};

/* A BPF program of the agent. Times are only known for the parts of a second in which the kernel was asked to measure.
 */
struct telemetry_program {
	char name[64];
	uint64_t run_ns;
	uint64_t runs;
};

struct telemetry_map {
	char name[64];
	uint64_t bytes; /* memory the kernel charges for it */
};

struct telemetry_agent {
	const char *version;
	const char *mode;      /* "autocork", or "observe" where it cannot hold */
	double start_time;     /* Unix time */
	double cpu_seconds;    /* user and system time of the agent's process */
	uint64_t memory_bytes; /* resident */
	uint64_t descriptors;
	bool reload_good;   /* the last reload was applied */
	bool in_force;	    /* all that the policies ask for */
	double reload_time; /* Unix time of the last reload, good or not */
	uint64_t reloads_good, reloads_failed;
	uint64_t policies; /* in force, without the built-in one */
	uint64_t flows_lost;
	uint64_t events_lost;
	double measured_seconds; /* time in which the kernel measured BPF run time */
	double sampling;	 /* share of flows whose telemetry is counted: 1 unless the budget asks for less */
	uint64_t http_requests, http_refused;
	double scrape_seconds; /* it took to make the last page */
};

/* A port of an autocork-fastpath process: its queues added up. */
struct telemetry_fastpath {
	char name[FASTPATH_NAME_LEN * 4 + 1]; /* of the process; clean text */
	char interface[32 * 4 + 1];
	bool running;
	struct fastpath_queue sum;
};
#define TELEMETRY_FASTPATH_MAX 8 /* more are not shown */
#define TELEMETRY_STEER_MAX 8	 /* the same */

struct telemetry_snapshot {
	struct telemetry_service *services;
	size_t service_count;
	const struct engine_feature *features;
	size_t feature_count;
	struct telemetry_program *programs;
	size_t program_count;
	struct telemetry_map *maps;
	size_t map_count;
	struct telemetry_agent agent;
	struct telemetry_fastpath fastpath[TELEMETRY_FASTPATH_MAX];
	size_t fastpath_count;
	struct steer_counters steer[TELEMETRY_STEER_MAX];
	size_t steer_count;
	bool has_endpoint; /* a policy asks for it */
	struct broker_sum endpoint;
};
