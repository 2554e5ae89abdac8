/* SPDX-License-Identifier: GPL-2.0 */
/* A flow's way in: its policy, its service, its place on or off a wrapper. Shared by sockops and the iterators. */
#pragma once
#include "calls.bpf.h"
#include "event.bpf.h"
#include "listener.bpf.h"
#include "maps.bpf.h"
#include "match.bpf.h"
#include "owner.bpf.h"
#include "rto.bpf.h"
#include "tcp.bpf.h"

/* Room for one more? Then it is taken. */
static __always_inline bool service_room_take(const struct ac_service_key *key, __u32 most)
{
	__u32 *taken = bpf_map_lookup_elem(&service_room, key), one = 1;

	if (!taken) {
		bpf_map_update_elem(&service_room, key, &one, BPF_NOEXIST);
		return true;
	}
	if (*taken >= most)
		return false;
	__sync_fetch_and_add(taken, 1);
	return true;
}

static __always_inline __u32 service_number_take(struct ac_control *c)
{
	__u32 number;

	if (!bpf_map_pop_elem(&free_services, &number))
		return number;
	if (c->services_next >= AC_SERVICES_MAX - 1)
		return 0;
	number = __sync_fetch_and_add(&c->services_next, 1) + 1;
	return number < AC_SERVICES_MAX ? number : 0;
}

/* A service that was not known. 0 is the overflow service. Out of line: few flows come here. */
static __noinline __u32 service_add(struct ac_service_key *key, struct ac_control *c)
{
	struct ac_service_key room = {};
	__u32 *known, number;

	if (!key || !c)
		return 0;
	room.cgroup = key->cgroup;
	room.side = key->side;
	__builtin_memcpy(room.comm, key->comm, AC_COMM_LEN);
	if (!service_room_take(&room, AC_PROGRAM_PORTS)) {
		key->port = 0;
		known = bpf_map_lookup_elem(&services, key);
		if (known)
			return *known;
	}
	room.side = 0;
	__builtin_memset(room.comm, 0, AC_COMM_LEN);
	number = service_room_take(&room, AC_CGROUP_SERVICES) ? service_number_take(c) : 0;
	if (!number) {
		__sync_fetch_and_add(&c->services_refused, 1);
		return 0;
	}
	if (bpf_map_update_elem(&services, key, &number, BPF_NOEXIST)) {
		/* Another CPU was first. */
		bpf_map_push_elem(&free_services, &number, BPF_ANY);
		known = bpf_map_lookup_elem(&services, key);
		return known ? *known : 0;
	}
	bpf_map_update_elem(&service_keys, &number, key, BPF_ANY);
	return number;
}

static __always_inline __u32 service_number(struct ac_service_key *key, struct ac_control *c)
{
	__u32 *known = bpf_map_lookup_elem(&services, key);

	return known ? *known : service_add(key, c);
}

static __always_inline __u16 flow_port(struct sock *sk, __u8 side)
{
	return side == AC_SIDE_SERVER ? sk->__sk_common.skc_num : bpf_ntohs(sk->__sk_common.skc_dport);
}

static __always_inline void service_key(struct ac_service_key *key, struct sock *sk, __u8 side,
					const char comm[AC_COMM_LEN])
{
	key->cgroup = cgroup_id(sk);
	key->port = flow_port(sk, side);
	key->side = side;
	__builtin_memcpy(key->comm, comm, AC_COMM_LEN);
}

static __always_inline void flow_set_policy(struct ac_flow *f, __u32 policy, __u32 generation,
					    const struct ac_policy *p)
{
	f->policy = policy;
	f->generation = generation;
	f->mode = p->mode;
	f->max_hold_us = p->max_hold_us;
	f->tuning.burst_gap_us = p->burst_gap_us;
	f->tuning.need_max = p->need_max;
	f->tuning.hold_gaps = p->max_hold_us / (p->burst_gap_us | 1) + 1;
	f->tuning.wait_us = p->packet_worth_us;
}

/* What the path carries in one segment: a write of that size leaves by itself. The path may have narrowed since the
 * flow opened. */
static __always_inline void flow_set_full(struct ac_flow *f, struct tcp_sock *tp)
{
	__u32 full = tp->mss_cache >> 8;

	f->tuning.full = full < 255 ? full : 255;
}

/* Another program than is guessed may be the flow's, and so another policy. */
static __always_inline bool flow_is_open(const struct ac_flow *f, const struct ac_control *c)
{
	return f->named == AC_NAMED_OPEN && c->program_rules;
}

/* Is the flow to be left alone? One that is still open is not, but observed until its program is seen. */
static __always_inline bool flow_is_let_go(const struct ac_flow *f, const struct ac_policy *p,
					   const struct ac_control *c, bool adopting)
{
	return (p->mode == AC_MODE_OFF || (adopting && !p->adopt)) && !flow_is_open(f, c);
}

/*
 * Matches the flow against the policies in force. False if the policy says "off" or, for a flow that existed before
 * (`adopting`), does not adopt. `found`: what the next flow of the same listener would find, 0 if another peer may find
 * something else.
 */
static __always_inline bool flow_match(struct sock *sk, struct ac_flow *f, const struct ac_control *c, bool adopting,
				       union found *found)
{
	struct match *m = match_borrow();
	const struct ac_policy *p;
	__u8 local[16];

	found->word = 0;
	if (!m)
		return false;
	if (c->cgroup_rules)
		match_cgroups(sk, m->cgroups);
	m->facts.port = flow_port(sk, f->side);
	m->facts.side = f->side;
	sock_addresses(sk, local, m->facts.peer);
	__builtin_memcpy(m->facts.comm, f->comm, AC_COMM_LEN);
	match_policy(m, c);
	p = match_values(m);
	if (p && flow_is_let_go(f, p, c, adopting))
		p = NULL;
	if (p)
		flow_set_policy(f, m->policy, m->generation, p);
	if (p && !m->by_peer) {
		found->generation = m->generation;
		found->half = m->half;
		found->policy = m->policy;
	}
	match_return(m);
	return p;
}

/* The same, as the listener knows it. False if it does not, or if the flow is to be left alone: then flow_match() says
 * so. */
static __always_inline bool flow_recall(struct sock *sk, struct ac_flow *f, const struct ac_control *c,
					const struct listener *listener)
{
	const struct ac_policy *p;
	union found found = {};

	if (listener)
		found.word = *(volatile __u64 *)&listener->found.word;
	if (!listener || !listener_knows(listener, found, sk, c))
		return false;
	p = policy_values(found.half, found.policy);
	if (!p || flow_is_let_go(f, p, c, false))
		return false;
	flow_set_policy(f, found.policy, found.generation, p);
	f->service = found.service;
	return true;
}

static __always_inline bool flow_is_mptcp(struct tcp_sock *tp)
{
	return bpf_core_field_exists(tp->is_mptcp) && tp->is_mptcp;
}

/* Options that a client set before it connected. An accepted flow has its listener's record, and what was set there was
 * set once. */
static __always_inline void flow_early_options(const struct ac_flow *f, struct ac_service_stats *stats)
{
	if (f->side != AC_SIDE_CLIENT)
		return;
	for (int i = 0; i < AC_OPTION_MAX; i++) {
		ac_count(&stats->option_calls[i], f->weight * f->early.calls[i]);
		ac_count(&stats->option_idle[i], f->weight * f->early.idle[i]);
	}
}

static __always_inline void flow_name(struct ac_flow *f, const char comm[AC_COMM_LEN])
{
	__builtin_memcpy(f->comm, comm, AC_COMM_LEN);
	f->flags |= AC_FLOW_COMM;
}

static __always_inline void flow_join(struct sock *sk, struct ac_flow *f, struct ac_control *c)
{
	struct ac_service_key key = {};

	service_key(&key, sk, f->side, f->comm);
	f->service = service_number(&key, c);
}

/* Its program is another one than was guessed: from now on it is that one's flow. */
static __always_inline void flow_rejoin(struct sock *sk, struct ac_flow *f, struct ac_control *c)
{
	struct ac_service_stats *before = stats_of(f), *now;
	__u32 service = f->service;

	flow_join(sk, f, c);
	now = stats_of(f);
	if (f->service == service || !before || !now)
		return;
	ac_count(&before->flows_opened, -1);
	ac_count(&now->flows_opened, 1);
}

/* Policy and service of a new flow. False if it is to be left alone. */
static __always_inline bool flow_look(struct sock *sk, struct ac_flow *f, struct ac_control *c, bool adopting,
				      struct listener *listener)
{
	__u32 recycled = *(volatile __u32 *)&c->services_recycled;
	__u8 renamed = listener ? *(volatile __u8 *)&listener->renamed : 0;
	union found found;

	if (!flow_match(sk, f, c, adopting, &found))
		return false;
	flow_join(sk, f, c);
	if (!listener || !found.word || !f->service || listener->cgroup != cgroup_id(sk) ||
	    !comm_same(listener->comm, f->comm))
		return true;
	found.recycled = recycled;
	found.service = f->service;
	found.renamed = renamed;
	*(volatile __u64 *)&listener->found.word = found.word;
	return true;
}

/*
 * A connection is established: policy, service, what its siblings learned. False if it is to be left alone. `listener`:
 * where it was accepted just now, and whose program's name it has; or NULL.
 */
static __always_inline bool flow_open(struct tcp_sock *tp, struct ac_flow *f, __u8 side, struct ac_control *c,
				      bool adopting, struct listener *listener)
{
	struct ac_service_memory *memory;
	struct ac_service_stats *stats;
	struct sock *sk = sk_of(tp);

	f->side = side;
	if (!flow_recall(sk, f, c, listener) && !flow_look(sk, f, c, adopting, listener))
		return false;
	memory = memory_of(f);
	if (!memory)
		return false;
	f->first_seq = tp->write_seq;
	f->weight = ac_flow_weight(f->mode, c->weight);
	stats = stats_of(f);
	if (stats) {
		ac_count(&stats->flows_opened, 1);
		flow_early_options(f, stats);
	}
	ac_predictor_init(&f->predictor, &memory->prior, tp->tcp_mstamp);
	flow_set_full(f, tp);
	f->write_seq = f->counted_seq = tp->write_seq;
	f->copied_seq = tp->copied_seq;
	f->opened_ms = now_ms();
	f->flags |= AC_FLOW_OPEN;
	/* Its data comes from the MPTCP level above, not from writes that are seen here: it would never ask for the
	 * gate. */
	if (stats && f->mode == AC_MODE_AUTOCORK && flow_is_mptcp(tp)) {
		f->refusal = AC_REFUSAL_MPTCP;
		ac_count_at(stats->refused, AC_REFUSAL_MAX, AC_REFUSAL_MPTCP);
		return true;
	}
	if (event_wanted(AC_EVENT_FLOW_OPENED))
		event_opened(sk, f);
	return true;
}

/* A congestion control's name (TCP_CA_NAME_MAX), padded with zeros; the words compare fast. */
union cc_name {
	char text[16];
	__u64 word[2];
};

static const union cc_name wrapper_names[AC_WRAPPER_MAX] = {
#define X(id, kernel, wrapper) [AC_WRAPPER_##id] = { .text = wrapper },
	AC_WRAPPERS(X)
#undef X
};

static const union cc_name kernel_names[AC_WRAPPER_MAX] = {
#define X(id, kernel, wrapper) [AC_WRAPPER_##id] = { .text = kernel },
	AC_WRAPPERS(X)
#undef X
};

static __always_inline union cc_name cc_name_of(struct tcp_sock *tp)
{
	const struct tcp_congestion_ops *ops = tp->inet_conn.icsk_ca_ops;
	union cc_name name = {};

	if (ops)
		bpf_core_read(&name, sizeof(name), &ops->name);
	return name;
}

/* Index of the name in one of the two tables above, AC_WRAPPER_NONE if it is not there. */
static __always_inline __u32 cc_find(const union cc_name *name, const union cc_name *table)
{
#pragma unroll
	for (int i = 1; i < AC_WRAPPER_MAX; i++)
		if (name->word[0] == table[i].word[0] && name->word[1] == table[i].word[1])
			return i;
	return AC_WRAPPER_NONE;
}

/* Which wrapper fits, or AC_WRAPPER_NONE and the reason in f->refusal. */
static __always_inline __u32 flow_wrapper(struct tcp_sock *tp, struct ac_flow *f, const struct ac_control *c)
{
	union cc_name name = cc_name_of(tp);
	__u32 wrapper = cc_find(&name, kernel_names);

	/* A socket that connects again still has the one of its first connection. */
	if (!wrapper)
		wrapper = cc_find(&name, wrapper_names);
	f->refusal = AC_REFUSAL_NONE;
	if (flow_is_mptcp(tp))
		f->refusal = AC_REFUSAL_MPTCP;
	else if (owner_is_avoided(cgroup_id(sk_of(tp)), c))
		f->refusal = AC_REFUSAL_LOCK_HELD;
	else if (tp->inet_conn.icsk_ulp_ops)
		f->refusal = AC_REFUSAL_ULP;
	else if (BPF_CORE_READ_BITFIELD(&tp->inet_conn, icsk_ca_dst_locked))
		f->refusal = AC_REFUSAL_ROUTE_LOCKED;
	else if (!c->wrappers)
		f->refusal = AC_REFUSAL_OBSERVES;
	else if (!wrapper || !(c->wrappers & (1ULL << wrapper)))
		f->refusal = AC_REFUSAL_NO_WRAPPER;
	return f->refusal ? AC_WRAPPER_NONE : wrapper;
}

/* What the policy of the flow asks for of the least retransmission timeout, 0 for the flow's own. */
static __always_inline __u32 flow_rto_us(struct tcp_sock *tp, const struct ac_flow *f, const struct ac_control *c)
{
	const struct ac_policy *p;

	if (f->mode != AC_MODE_AUTOCORK || flow_is_mptcp(tp))
		return 0;
	p = policy_values(c->policy_half & 1, f->policy);
	return p ? p->rto_min_us : 0;
}

static __always_inline bool flow_wants_gate(const struct ac_flow *f)
{
	return f->mode == AC_MODE_AUTOCORK && ac_predictor_promises(&f->predictor);
}

/* A new flow of a service whose flows came off, one after another, is tried once the service is known to gain. */
static __always_inline bool flow_begins_on_gate(const struct ac_flow *f)
{
	const struct ac_service_memory *memory = memory_of(f);

	return flow_wants_gate(f) &&
	       (!memory || memory->no_gain < AC_NO_GAIN_KNOWN || ac_predictor_gains(&f->predictor));
}

static __always_inline void flow_watch_new(struct ac_flow *f, struct ac_control *c)
{
	struct ac_service_memory *memory = memory_of(f);

	if (!memory)
		return;
	/* Observed flows all count, so a service that has some, by another policy, is followed whole. */
	if (f->mode == AC_MODE_OBSERVE)
		memory->left_alone = 0;
	if (flow_is_open(f, c) || (f->mode != AC_MODE_OBSERVE && !f->refusal && memory->no_gain < AC_NO_GAIN_KNOWN)) {
		flow_watch(f, c);
	} else if (f->mode != AC_MODE_OBSERVE && !f->refusal) {
		memory->left_alone = c->policy_generation;
		flow_no_gain(f);
	}
}

/* Books the outcome of a bpf_setsockopt(TCP_CONGESTION) that was to put the flow on `wrapper`. */
static __always_inline void flow_enrolled(struct tcp_sock *tp, struct ac_flow *f, struct ac_control *c, __u32 wrapper,
					  long err)
{
	struct ac_service_memory *memory = memory_of(f);
	struct ac_service_stats *stats = stats_of(f);
	struct socket_counts counts;

	if (!f->refusal && err)
		f->refusal = err == -1 /* EPERM */ ? AC_REFUSAL_ROUTE_LOCKED : AC_REFUSAL_ERROR;
	if (!f->refusal) {
		f->wrapper = wrapper;
		flow_set_full(f, tp);
		/* The pass that does this may have kept the program waiting: no pause of its own. */
		f->predictor.last_us = now_us();
		f->write_seq = tp->write_seq;
		f->copied_seq = tp->copied_seq;
		f->counted_seq = tp->write_seq;
		f->stalled = AC_STALL_NONE;
		f->seen = f->predictor.len;
		ac_predictor_try(&f->predictor);
		if (memory)
			service_gains(f, memory);
	}
	/* The policy may have just come to manage it; the gate's counts weigh 1. */
	if (stats && f->weight != 1) {
		socket_counts(&counts, tp);
		flow_weigh(f, stats, &counts, c);
	}
	/* Either the gate sees it from now on, or nothing can be done for it. */
	flow_unwatch(f, c);
	if (!stats)
		return;
	if (f->refusal)
		ac_count_at(stats->refused, AC_REFUSAL_MAX, f->refusal);
	else
		ac_count(&stats->flows_managed, 1);
	if (event_wanted(AC_EVENT_FLOW_MANAGED))
		event_managed(sk_of(tp), f, AC_EVENT_FLOW_MANAGED, f->wrapper);
}

/*
 * Puts the flow on the wrapper that fits. `ctx` is what bpf_setsockopt() takes in the calling program: the sockops
 * context or the socket; hence a macro.
 */
#define flow_manage(ctx, tp, f, c) \
	do { \
		__u32 wrapper_ = flow_wrapper(tp, f, c); \
		long err_ = 0; \
		if (wrapper_ && wrapper_ < AC_WRAPPER_MAX) \
			err_ = bpf_setsockopt(ctx, SOL_TCP, TCP_CONGESTION, (void *)&wrapper_names[wrapper_], 16); \
		flow_enrolled(tp, f, c, wrapper_, err_); \
	} while (0)

/* A new flow goes on its wrapper at once where its siblings gained; else the observer looks whether there is anything
 * to gain. */
#define flow_place(ctx, tp, f, c) \
	do { \
		rto_apply(ctx, tp, f, flow_rto_us(tp, f, c)); \
		if (!(f)->refusal && flow_begins_on_gate(f)) \
			flow_manage(ctx, tp, f, c); \
		else \
			flow_watch_new(f, c); \
	} while (0)
