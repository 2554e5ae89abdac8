/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * A service is what users name: (port, side, program, cgroup). Every flow belongs to one; totals, histograms and the
 * prior that lets short connections gain from their first burst are kept per service, in maps of bounded size.
 */
#pragma once
#include <autocork/types.h>
#include <autocork/counters.h>
#include <autocork/flow.h>
#include <autocork/histogram.h>

#define AC_SERVICES_MAX 1024 /* number 0 is the overflow service: flows that found no free number */

/*
 * No control group, and no program, takes all numbers: a program's ports beyond AC_PROGRAM_PORTS are one service, a
 * control group's services beyond AC_CGROUP_SERVICES belong to number 0.
 */
#define AC_PROGRAM_PORTS 32
#define AC_CGROUP_SERVICES 256

struct ac_service_key {
	__u64 cgroup; /* cgroup v2 id of the socket */
	__u16 port;   /* local on a server, remote on a client; 0 = the program's further ports */
	__u8 side;    /* enum ac_side */
	__u8 pad[5];
	char comm[AC_COMM_LEN];
};

/* What a service remembers from flow to flow. Written by many CPUs without a lock; the worst is a flow that learns by
 * itself. */
struct ac_service_memory {
	struct ac_prior prior;
	__u32 no_gain;	  /* flows in a row that had nothing to gain, saturating at AC_NO_GAIN_KNOWN */
	__u32 left_alone; /* control.policy_generation when a flow that a policy wants managed was left alone for that;
			     0 = never */
	__u32 connects;	  /* of a client with nothing to gain: decides which of its connections are followed */
	__u32 stall_us;	  /* how long its stalls were, a moving average; 0 = none was seen */
} __attribute__((aligned(64))); /* a cache line: client and server of one service may run on two CPUs */
#define AC_NO_GAIN_KNOWN 8 /* from here on new flows are no reason to observe; the agent's recheck notices a change */

#define AC_SMALL_PACKET 128  /* bytes: a payload below is worth less than twice the headers of its Ethernet frame */
#define AC_LARGE_WRITE 16384 /* bytes: four pages; below, copying is cheaper than handing over pages */

/*
 * While the telemetry samples, it looks at observed flows for one second in so many: what is counted then stands for as
 * many, and nothing is counted in between. All counters that the observer or the flow's socket keeps are weighed so,
 * and no others: sums stay what they would be if it always looked, as far as the sample is like the rest, and the
 * counters of a service go with each other, being of the same times.
 */
#define AC_WEIGHT_MAX 128 /* fits in ac_flow.weight */

/* `observed`: control.weight */
static __always_inline __u32 ac_flow_weight(__u8 mode, __u32 observed)
{
	return mode == AC_MODE_OBSERVE ? observed : 1;
}

/*
 * Counters are added to atomically (ac_count()), so CPUs may share them: each one has its own up to AC_STATS_SLOTS
 * of them, and above that some share. A per-CPU map takes 1.4 MB for every CPU that the machine might have one
 * day. (The kernel numbers possible CPUs without gaps.)
 */
#define AC_STATS_SLOTS 32

static __always_inline __u32 ac_stats_at(__u32 cpu, __u32 service)
{
	return cpu % AC_STATS_SLOTS * AC_SERVICES_MAX + service;
}

/* One per slot and service; user space adds them up. All counters only grow. */
struct ac_service_stats {
	/* Single numbers first: a write touches several of them. */
#define AC_ONE(kind, ...) AC_ONE_##kind(__VA_ARGS__)
#define AC_ONE_COUNT(field, ...) __u64 field;
#define AC_ONE_TIME(field, ...) __u64 field;
#define AC_ONE_SUM(field) __u64 field;
#define AC_ONE_OPEN(...)
#define AC_ONE_BY(...)
#define AC_ONE_LIST(...)
#define AC_ONE_PART(...)
#define AC_ONE_SPREAD(...)
	AC_COUNTERS(AC_ONE)
#define AC_MANY(kind, ...) AC_MANY_##kind(__VA_ARGS__)
#define AC_MANY_COUNT(...)
#define AC_MANY_TIME(...)
#define AC_MANY_SUM(...)
#define AC_MANY_OPEN(...)
#define AC_MANY_BY(field, names, first, end, ...) __u64 field[end];
#define AC_MANY_LIST(field, names, first, end) __u64 field[end];
#define AC_MANY_PART(...)
#define AC_MANY_SPREAD(field, ...) __u64 field[AC_BUCKETS];
	AC_COUNTERS(AC_MANY)
};

/* Packets that holding would save on flows in shadow. The two are not read at one instant. */
static __always_inline __u64 ac_shadow_saved(const struct ac_service_stats *stats)
{
	return stats->shadow_held > stats->shadow_merged ? stats->shadow_held - stats->shadow_merged : 0;
}
