/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Events of single flows, for whoever listens (autocork events, autocork explain). While nobody does, a place that
 * could make one costs a load and a branch, and no such place is on the way of a held write.
 */
#pragma once
#include "maps.bpf.h"
#include "tcp.bpf.h"
#include <autocork/event.h>
#include <autocork/predictor.h>

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, AC_EVENT_RING_BYTES);
} events SEC(".maps");

/* services turned round: number -> key. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, AC_SERVICES_MAX);
	__type(key, __u32);
	__type(value, struct ac_service_key);
} service_keys SEC(".maps");

static __always_inline bool event_wanted(enum ac_event_type type)
{
	struct ac_control *c = the_control();

	return c && c->event_mask & AC_EVENT_BIT(type);
}

/* A record with everything but its detail; NULL, and counted, where the ring is full. To be submitted by the caller. */
static __always_inline struct ac_event *event_begin(struct sock *sk, const struct ac_flow *f, enum ac_event_type type)
{
	struct ac_event *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	const struct ac_service_key *key;
	__u32 number = f->service;
	struct ac_control *c;

	if (!e) {
		c = the_control();
		if (c)
			__sync_fetch_and_add(&c->lost_events, 1);
		return NULL;
	}
	__builtin_memset(e, 0, sizeof(*e));
	e->time_ns = bpf_ktime_get_ns();
	e->type = type;
	e->flow.cookie = sk->__sk_common.skc_cookie.counter;
	e->flow.netns = netns_of(sk);
	/* A socket that is destroyed has lost skc_num already. */
	e->flow.local_port = bpf_ntohs(BPF_CORE_READ((struct inet_sock *)sk, inet_sport));
	e->flow.remote_port = bpf_ntohs(sk->__sk_common.skc_dport);
	e->flow.side = f->side;
	e->flow.policy = f->policy;
	sock_addresses(sk, e->flow.local, e->flow.remote);
	key = bpf_map_lookup_elem(&service_keys, &number);
	if (key)
		e->flow.cgroup = key->cgroup;
	__builtin_memcpy(e->flow.comm, f->comm, AC_COMM_LEN);
	return e;
}

/* Out of line: the gate's fast path stays small. */
static __noinline __attribute__((unused)) int event_hold(struct sock *sk, struct ac_flow *f, __u32 type,
							 const struct ac_event_hold *hold)
{
	struct ac_event *e = event_begin(sk, f, type);

	if (!e)
		return 0;
	e->hold = *hold;
	bpf_ringbuf_submit(e, 0);
	return 0;
}

/* Says what becomes of the hold under way, before it is accounted for. */
static __always_inline void event_of_hold(struct tcp_sock *tp, struct ac_flow *f, __u32 now, enum ac_event_type type,
					  __u32 reason)
{
	struct ac_event_hold hold = {};

	if (!event_wanted(type))
		return;
	hold.held = f->held_now;
	hold.writes = f->held_now + (reason == AC_REASON_COMPLETE);
	hold.bytes = unsent_bytes(tp);
	hold.hold_us = now - f->hold_us;
	hold.reason = reason;
	event_hold(sk_of(tp), f, type, &hold);
}

/* `excess`: the predictor's debt above what lets it hold; each foreseen burst pays back AC_EARN / need_max. */
static __noinline __attribute__((unused)) int event_backoff(struct sock *sk, struct ac_flow *f, __u32 excess)
{
	struct ac_event *e = event_begin(sk, f, AC_EVENT_BACKOFF);
	__u32 earn = AC_EARN / (f->tuning.need_max | 1);

	if (!e)
		return 0;
	e->backoff.pause = excess / (earn | 1) + 1;
	e->backoff.misses = f->misses;
	bpf_ringbuf_submit(e, 0);
	return 0;
}

static __always_inline void event_opened(struct sock *sk, struct ac_flow *f)
{
	struct ac_event *e = event_begin(sk, f, AC_EVENT_FLOW_OPENED);

	if (!e)
		return;
	e->opened.mode = f->mode;
	bpf_ringbuf_submit(e, 0);
}

/* Put on a wrapper (or refused), or given back. */
static __always_inline void event_managed(struct sock *sk, struct ac_flow *f, enum ac_event_type type, __u8 wrapper)
{
	struct ac_event *e = event_begin(sk, f, type);

	if (!e)
		return;
	e->managed.wrapper = wrapper;
	e->managed.refusal = f->refusal;
	bpf_ringbuf_submit(e, 0);
}

static __always_inline void event_closed(struct sock *sk, struct tcp_sock *tp, struct ac_flow *f, bool fin)
{
	struct ac_event *e = event_begin(sk, f, AC_EVENT_FLOW_CLOSED);

	if (!e)
		return;
	e->closed.age_us = (__u64)(__u32)(now_ms() - f->opened_ms) * 1000;
	e->closed.writes = f->writes;
	/* Each FIN, ours and the peer's, takes a sequence number. */
	e->closed.written_bytes = (__u32)(tp->write_seq - f->first_seq) - fin;
	e->closed.read_bytes =
		tp->bytes_received - (sk->__sk_common.skc_flags >> bpf_core_enum_value(enum sock_flags, SOCK_DONE) & 1);
	e->closed.bursts = f->bursts;
	e->closed.held = f->held;
	e->closed.misses = f->misses;
	e->closed.segments = tp->data_segs_out;
	e->closed.retransmits = tp->total_retrans;
	e->closed.srtt_us = tp->srtt_us >> 3;
	bpf_ringbuf_submit(e, 0);
}
