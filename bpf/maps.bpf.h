/* SPDX-License-Identifier: GPL-2.0 */
/* The maps that all programs share. The first object loaded creates them, the others are given their descriptors. */
#pragma once
#include <autocork/control.h>
#include <autocork/count.h>
#include <autocork/flow.h>
#include <autocork/policy.h>
#include <autocork/release.h>
#include <autocork/service.h>
#include "index.bpf.h"

/*
 * Flows: the index has a socket's address and the number of its record. Where a number is at hand, as in the gate, its
 * record is too.
 */

/* Number 0 is nobody's. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, AC_FLOWS_DEFAULT);
	__type(key, __u32);
	__type(value, struct ac_flow);
} records SEC(".maps");

/* Numbers that were given back; those from control.records_next on were never taken. */
struct {
	__uint(type, BPF_MAP_TYPE_STACK);
	__uint(max_entries, AC_FLOWS_DEFAULT);
	__type(value, __u32);
} free_records SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ac_control);
} control SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, AC_SERVICES_MAX);
	__type(key, struct ac_service_key);
	__type(value, __u32);
} services SEC(".maps");

/* Numbers of services that the agent has taken back (agent/engine/recycle.c). */
struct {
	__uint(type, BPF_MAP_TYPE_STACK);
	__uint(max_entries, AC_SERVICES_MAX);
	__type(value, __u32);
} free_services SEC(".maps");

/* How many services a control group has (port, side and comm 0), and a program in it (port 0). The agent counts again
 * now and then. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2 * AC_SERVICES_MAX);
	__type(key, struct ac_service_key);
	__type(value, __u32);
} service_room SEC(".maps");

/* By ac_stats_at(). The agent makes it as large as the machine's CPUs ask for. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, (AC_STATS_SLOTS * AC_SERVICES_MAX));
	__type(key, __u32);
	__type(value, struct ac_service_stats);
} service_stats SEC(".maps");

/* Mappable for its alignment only: other arrays begin their values at multiples of 8. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, AC_SERVICES_MAX);
	__type(key, __u32);
	__type(value, struct ac_service_memory);
} service_memory SEC(".maps");

/* As many as there are records. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, AC_FLOWS_DEFAULT);
	__type(key, __u32);
	__type(value, struct ac_owner);
} owners SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ac_releaser);
} releaser SEC(".maps");

/* Room for 8,000 flows whose holds are over at the same time; those that find none are handed over later. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} dues SEC(".maps");

/* Control groups of which a socket was kept locked. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, AC_AVOIDED_MAX);
	__type(key, __u64);
	__type(value, struct ac_avoided);
} avoided SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ac_wheel);
} wheel SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
} kicks SEC(".maps");

static __always_inline struct ac_control *the_control(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&control, &zero);
}

static __always_inline struct ac_owner *owner_of(const struct ac_flow *f)
{
	__u32 number = f->number;

	return bpf_map_lookup_elem(&owners, &number);
}

static __always_inline struct ac_flow *record_at(__u32 number, const void *sk)
{
	struct ac_flow *f = number ? bpf_map_lookup_elem(&records, &number) : NULL;

	return f && f->sock == (__u64)sk ? f : NULL;
}

static __always_inline struct ac_flow *flow_find(const void *sk)
{
	const struct ac_control *c = the_control();
	struct index_key key;
	struct ac_flow *f;

	if (!c)
		return NULL;
	key = index_key(sk, c);
	f = record_at(index_look(key.bucket[0], key.tag), sk);
	return f ? f : record_at(index_look(key.bucket[1], key.tag), sk);
}

/* The number of a free record, 0 if there is none. */
static __always_inline __u32 record_take(struct ac_control *c)
{
	__u32 number;

	if (!bpf_map_pop_elem(&free_records, &number))
		return number;
	/* Looked at first, or the failures of a long time would take it round to the numbers in use. */
	if (c->records_next >= c->records_max)
		return 0;
	number = __sync_fetch_and_add(&c->records_next, 1);
	return number < c->records_max ? number : 0;
}

static __always_inline void record_start(struct ac_flow *f, __u64 sock, __u32 number)
{
	struct ac_owner *o;

	__builtin_memset(f, 0, sizeof(*f));
	f->sock = sock;
	f->number = number;
	/* The same socket may get the same record again. What was found out while it had none says nothing. */
	o = owner_of(f);
	if (o && o->reach == AC_REACH_NONE)
		o->reach = AC_REACH_UNKNOWN;
}

static __always_inline void record_give_back(struct ac_flow *f)
{
	__u32 number = f->number;

	f->sock = 0;
	bpf_map_push_elem(&free_records, &number, BPF_ANY);
}

/* A blank record, until flow_closed() (life.bpf.c) removes it with its socket. NULL, and counted, if there is none
 * left. */
static __always_inline struct ac_flow *flow_add(const void *sk)
{
	struct ac_control *c = the_control();
	struct index_key key;
	struct ac_flow *f;
	__u32 number;
	int place;

	if (!c)
		return NULL;
	number = record_take(c);
	f = number ? bpf_map_lookup_elem(&records, &number) : NULL;
	if (f) {
		record_start(f, (__u64)sk, number);
		key = index_key(sk, c);
		place = index_add(key.bucket[0], key.bucket[1], key.tag, number);
		if (place >= 0) {
			f->place = place;
			return f;
		}
		record_give_back(f);
	}
	__sync_fetch_and_add(&c->flows_lost, 1);
	return NULL;
}

static __always_inline struct ac_flow *flow_find_or_add(const void *sk)
{
	struct ac_flow *f = flow_find(sk);

	return f ? f : flow_add(sk);
}

static __always_inline void flow_remove(struct ac_flow *f)
{
	index_leave(f->place);
	record_give_back(f);
}

static __always_inline struct ac_service_stats *stats_at(__u32 service)
{
	__u32 at = ac_stats_at(bpf_get_smp_processor_id(), service);

	return bpf_map_lookup_elem(&service_stats, &at);
}

static __always_inline struct ac_service_stats *stats_of(const struct ac_flow *f)
{
	return stats_at(f->service);
}

static __always_inline struct ac_service_memory *memory_of(const struct ac_flow *f)
{
	__u32 number = f->service;

	return bpf_map_lookup_elem(&service_memory, &number);
}

/* Wakes the agent. False if the ring is full: the caller tries again with its next chance. */
static __always_inline bool kick(__u32 what, __u32 netns)
{
	struct ac_kick *k = bpf_ringbuf_reserve(&kicks, sizeof(*k), 0);

	if (!k)
		return false;
	k->what = what;
	k->netns = netns;
	bpf_ringbuf_submit(k, BPF_RB_FORCE_WAKEUP);
	return true;
}

/* The observer must see this flow until flow_unwatch(). The agent attaches it for the first one and detaches it after
 * the last. */
static __always_inline void flow_watch(struct ac_flow *f, struct ac_control *c)
{
	if (f->flags & AC_FLOW_WATCHED)
		return;
	f->flags |= AC_FLOW_WATCHED;
	f->watched_from = f->bursts;
	__sync_fetch_and_add(&c->watched, 1);
	c->vain_calls = 0;
	/* Before it is asked whether the observer is there: see stop_watching() in agent/engine/engine.c. */
	__sync_fetch_and_add(&c->watch_begins, 1);
	if (!c->watching && !__sync_lock_test_and_set(&c->watching, 1))
		kick(AC_KICK_WATCH, 0);
}

static __always_inline void flow_unwatch(struct ac_flow *f, struct ac_control *c)
{
	if (!(f->flags & AC_FLOW_WATCHED))
		return;
	f->flags &= ~AC_FLOW_WATCHED;
	__sync_fetch_and_add(&c->watched, -1);
}

/* One more of a service's flows had nothing to gain. */
static __always_inline void service_gained_nothing(struct ac_service_memory *memory)
{
	if (memory && memory->no_gain < AC_NO_GAIN_KNOWN)
		memory->no_gain++;
}

/*
 * A flow that is on a wrapper shows that its service gains: not one that came off and is tried again. A DNS client's
 * begin with a long burst, are put on a wrapper, and gain nothing there.
 */
static __always_inline void service_gains(const struct ac_flow *f, struct ac_service_memory *memory)
{
	if (f->wrapper && ac_predictor_gains(&f->predictor) && ac_predictor_rested(&f->predictor))
		memory->no_gain = 0;
}

/* Nothing to gain on this flow, for now: it is left alone, or comes off its wrapper. */
static __always_inline void flow_no_gain(struct ac_flow *f)
{
	struct ac_service_stats *stats = stats_of(f);

	f->refusal = AC_REFUSAL_NO_GAIN;
	if (f->flags & AC_FLOW_NO_GAIN || !stats)
		return;
	f->flags |= AC_FLOW_NO_GAIN;
	ac_count_at(stats->refused, AC_REFUSAL_MAX, AC_REFUSAL_NO_GAIN);
	service_gained_nothing(memory_of(f));
}

/* What had nothing to gain may have changed; every other refusal stays, and is counted once. */
static __always_inline bool flow_may_change(const struct ac_flow *f)
{
	return f->refusal == AC_REFUSAL_NONE || f->refusal == AC_REFUSAL_NO_GAIN;
}

/* A kick may get lost, or find the namespace gone for a moment: ask again now and then. */
static __always_inline bool flow_asks_again(const struct ac_flow *f)
{
	__u32 bursts = f->bursts - f->watched_from; /* or what counts like one */

	return bursts < 64 || !(bursts & 63);
}
