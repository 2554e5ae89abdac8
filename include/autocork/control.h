/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What the agent tells the BPF programs, and the little they tell back: one record, shared by memory mapping. */
#pragma once
#include <autocork/types.h>

/* Why a BPF program wakes the agent. */
enum ac_kick_what {
	AC_KICK_STUCK,	   /* the release process does not answer */
	AC_KICK_RECONCILE, /* a flow should go on or come off its wrapper */
	AC_KICK_WATCH,	   /* the first flow that wants watching: attach the observer */
	AC_KICK_DISMISS,   /* the observer sees nothing but calls it has no business with: detach it */
};

struct ac_kick {
	__u32 what;  /* enum ac_kick_what */
	__u32 netns; /* inode number of the flow's network namespace, 0 = all; AC_KICK_DISMISS: control.watch_begins */
};

/* What the reconcile iterator is to do. */
enum ac_reconcile {
	AC_RECONCILE_TEND,	/* promote and demote flows, apply a changed policy */
	AC_RECONCILE_ADOPT,	/* the same, and take in flows that exist already */
	AC_RECONCILE_GIVE_BACK, /* every flow gets its own congestion control back */
};

struct ac_control {
	__u64 alive_until_us;	 /* heartbeat, CLOCK_MONOTONIC: after it nothing is held */
	__u32 policy_half;	 /* which half of the policy tables is in force */
	__u32 policy_generation; /* changes with every reload */
	__u32 reconcile;	 /* enum ac_reconcile */
	__u32 cgroup_level;	 /* depth of the subtree that is handled; 0 = everything */
	__u64 cgroup;		 /* id of its root */
	__u64 wrappers;		 /* bit n: wrapper n (enum ac_wrapper) is registered */
	__u32 weight;		 /* what is counted of an observed flow stands for so many; 0: it is not looked at
				  * now (agent). AC_WEIGHT_MAX at most */
	__u32 event_mask;	 /* AC_EVENT_BIT() of the types somebody listens for (agent) */
	__u32 watching;		 /* the observer is attached, or was asked for (BPF side sets, agent clears) */
	__u32 cgroup_rules;	 /* some rule asks for a cgroup (agent) */
	__u32 program_rules;	 /* some rule asks for a program (agent) */
	__u32 hold_min_us;	 /* the shortest that a hold may last at all: a feed's, or max_hold (agent) */
	__u32 max_hold_us;	 /* the shortest max_hold of the policies in force (agent) */
	__u32 tick_ns;		 /* length of the kernel's tick, 0: not known (agent) */
	__u32 records_max;	 /* entries of the map `records` (agent) */
	__u32 index_mask;	 /* buckets of the map `flow_index`, a power of two, less one (agent) */
	__u32 wheel_armed;	 /* the overdue timer runs (BPF side) */
	__u32 releases;		 /* there is a release process: without one nothing is held (agent) */
	__u32 avoids;		 /* control groups that came into the map `avoided` (agent) */
	__u32 agent;		 /* its thread group; the release process is its child (agent) */
	__u32 looks_since_ms;	 /* CLOCK_MONOTONIC: the observer has been there since then; 0 = it is not (agent) */
	__u32 unseen;		 /* connections that it should have seen write, and did not (BPF side) */
	__u32 sees_all;		 /* the observer is to look at flows that are not counted in `watched` too (agent) */
	__u32 fragments;	 /* that a segment may have: net.core.max_skb_frags (agent) */
	__u32 services_recycled; /* times that numbers of services were taken back (agent) */
	/* What BPF programs write more often, in a cache line apart from what every hold reads. */
	__s32 watched __attribute__((aligned(64))); /* flows that the observer must see */
	__u32 watch_begins;			    /* flows that began to be watched, wraps */
	__u32 watched_bursts;	/* bursts that ended on flows counted in `watched`; wraps, roughly counted */
	__u32 vain_calls;	/* that the observer saw since then and had no business with */
	__u32 passed;		/* connections not followed (ac_service_stats.flows_passed of all services), wraps */
	__u32 services_refused; /* flows that found no number for their service, wraps */
	__u32 services_next;	/* next free service number */
	__u32 records_next;	/* the first number of a record that nobody had yet, from 1 on */
	__u32 flows_lost;	/* connections for which there was no record left */
	__u64 lost_events;	/* that found the ring full */
};

/*
 * The wheel of due holds: flows by the time their hold must have ended. A flow is in one slot at most; one whose hold
 * has ended stays there until the slot is due, and is moved on if it holds again by then. One tick is 128 µs; the wheel
 * spans 131 ms, above the largest max_hold a policy may ask for.
 */
#define AC_WHEEL_SHIFT 7
#define AC_WHEEL_SLOTS 1024
#define AC_WHEEL_TICK_US (1u << AC_WHEEL_SHIFT)

struct ac_wheel {
	__u32 first[AC_WHEEL_SLOTS]; /* number of the first record of a slot, 0 = nobody; the rest by ac_owner.next */
	__s32 members;		     /* flows in all slots */
	__u32 wrong;		     /* holds that were in vain, or late; wraps, roughly counted */
};
