/* SPDX-License-Identifier: GPL-2.0 */
/* New flows: sockops callbacks of the cgroup subtree tell who listens, who connects, and when a connection is
 * established. */
#include "calls.bpf.h"
#include "flow.bpf.h"
#include "hold.bpf.h"
#include "own_time.bpf.h"
#include "program.bpf.h"
#include <bpf/bpf_tracing.h>

static __always_inline void listens(struct bpf_sock *sk, const char comm[AC_COMM_LEN])
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);

	if (tp)
		listener_note(sk_of(tp), comm, BPF_ANY);
}

/*
 * A program that connects again and again and never gains: following each of its connections costs 2 to 6 us, which is
 * more than nothing. One in so many keeps an eye on the rest; those that live on are taken in by the agent's recheck.
 * While the observer is there, as in a recheck, all are followed: that is when a change is noticed.
 */
#define FOLLOW_ONE_IN 16

static __always_inline bool passes_by(struct bpf_sock *sk, const char comm[AC_COMM_LEN], struct ac_control *c)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	struct ac_service_key key = {};
	struct ac_service_memory *memory;
	struct ac_service_stats *stats;
	__u32 *number;

	if (!tp || c->event_mask || c->watching)
		return false;
	service_key(&key, sk_of(tp), AC_SIDE_CLIENT, comm);
	number = bpf_map_lookup_elem(&services, &key);
	if (!number) {
		/* It may be one of the further ports of a program with many, as an FTP client is. */
		key.port = 0;
		number = bpf_map_lookup_elem(&services, &key);
	}
	if (!number)
		return false;
	memory = bpf_map_lookup_elem(&service_memory, number);
	stats = stats_at(*number);
	if (!memory || !stats || memory->no_gain < AC_NO_GAIN_KNOWN || memory->left_alone != c->policy_generation ||
	    !(++memory->connects % FOLLOW_ONE_IN))
		return false;
	ac_count(&stats->flows_passed, 1);
	c->passed++;
	return true;
}

/* listen() and connect() run in the program's own context: the only time its name is certain. */
static __always_inline void begins(struct bpf_sock_ops *ctx, bool accepts)
{
	struct ac_control *c = the_control();
	struct bpf_sock *sk = ctx->sk;
	char comm[AC_COMM_LEN];
	struct ac_flow *f;

	if (!sk || !c)
		return;
	f = flow_find(sk);
	/* connect(AF_UNSPEC): the socket was a flow, and is to be another. */
	if (f && f->flags & (AC_FLOW_OPEN | AC_FLOW_LEFT)) {
		flow_remove(f);
		f = NULL;
	}
	program_name(comm);
	if (accepts) {
		listens(sk, comm);
		return;
	}
	if (passes_by(sk, comm, c)) {
		/* It has set options. */
		if (f)
			flow_remove(f);
		return;
	}
	if (!f)
		f = flow_add(sk);
	if (f)
		flow_name(f, comm);
}

static __always_inline struct ac_flow *accepted(struct bpf_sock *sk, struct tcp_sock *tp,
						const struct listener *listener)
{
	struct ac_flow *f = flow_add(sk);

	if (!f)
		return NULL;
	f->named = AC_NAMED_OPEN;
	if (!listener)
		return f;
	flow_name(f, listener->comm);
	/* One in so many is looked at all the same: the socket may have got another owner. */
	if (listener->seen == LISTENER_SURE && !listener->mixed && tp->write_seq % FOLLOW_ONE_IN)
		f->named = AC_NAMED_LIKELY;
	return f;
}

static __always_inline void established(struct bpf_sock_ops *ctx, __u8 side)
{
	struct ac_control *c = the_control();
	struct listener *listener = NULL;
	struct bpf_sock *sk = ctx->sk;
	struct tcp_sock *tp;
	struct ac_flow *f;

	if (!sk || !c)
		return;
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp)
		return;
	if (side == AC_SIDE_SERVER)
		listener = listener_find(sk_of(tp));
	/* A client that was passed by has no record; one that connected before the agent came is adopted, or left
	 * alone. */
	f = side == AC_SIDE_SERVER ? accepted(sk, tp, listener) : flow_find(sk);
	if (!f)
		return;
	/* Makes the flow's name; most of the other programs may only read it. */
	bpf_get_socket_cookie(ctx);
	if (!flow_open(tp, f, side, c, false, listener)) {
		flow_remove(f);
		return;
	}
	flow_place(ctx, tp, f, c);
	bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG);
}

/* The burst that a flow ends with. `missed`: a hold in it ran out, and nothing followed that it was held for. */
static __always_inline void last_burst(struct ac_flow *f, struct ac_service_stats *stats, __u32 length, bool missed)
{
	if (!length)
		return;
	if (missed)
		miss_count(f, stats);
	f->bursts++;
	if (f->wrapper) {
		ac_count(&stats->writes, length - f->seen);
		f->seen = 0;
	}
	burst_count(stats, f, length);
}

/* A hold that nothing could end any more: a reset has come, or somebody ended the connection from outside (`ss -K`). */
static __always_inline void hold_lost(struct tcp_sock *tp, struct ac_flow *f, struct ac_service_stats *stats)
{
	event_of_hold(tp, f, tp->tcp_mstamp, AC_EVENT_MISS, AC_REASON_CLOSING);
	hold_ended(f, tp->tcp_mstamp, AC_REASON_CLOSING);
	f->misses++;
	ac_count(&stats->misses, 1);
}

/* Was the observer there before it? */
static __always_inline bool was_looked_at(const struct ac_flow *f, const struct ac_control *c)
{
	__u32 since = c->looks_since_ms;

	return since && (__s32)(f->opened_ms - since) > 0;
}

/*
 * A flow that still waited to be judged. Who was not looked at from its beginning on says nothing about its service: a
 * busy machine may let the agent wait while a client comes and goes.
 */
static __always_inline void leaves_unjudged(struct ac_flow *f, struct ac_service_stats *stats,
					    struct ac_service_memory *memory, struct ac_control *c)
{
	bool seen = was_looked_at(f, c);

	if (f->mode == AC_MODE_AUTOCORK && !f->refusal && (!seen || ac_predictor_promises(&f->predictor)))
		ac_count_at(stats->refused, AC_REFUSAL_MAX, AC_REFUSAL_NOT_IN_TIME);
	/* Too short to be judged, of a service that never gained: it counts as one with nothing to gain. */
	if (seen && !ac_predictor_gains(&f->predictor) && !(f->flags & AC_FLOW_NO_GAIN))
		service_gained_nothing(memory);
}

/*
 * A connection that was looked at all its life, and wrote: of which no write was seen. The kernel has a way of writing
 * that the observer's hooks miss, and such flows are never managed.
 */
static __always_inline void note_unseen(struct tcp_sock *tp, const struct ac_flow *f, struct ac_control *c, bool fin)
{
	if (was_looked_at(f, c) && f->weight && !f->writes && tp->write_seq - f->first_seq > fin)
		__sync_fetch_and_add(&c->unseen, 1);
}

/* What a flow leaves to its service. The socket is in the state that it had, with all its counts. */
static __always_inline void leaves(struct tcp_sock *tp, struct ac_flow *f)
{
	struct ac_service_memory *memory = memory_of(f);
	struct ac_service_stats *stats = stats_of(f);
	struct ac_control *c = the_control();
	struct sock *sk = sk_of(tp);
	bool watched = f->flags & AC_FLOW_WATCHED || f->mode == AC_MODE_OBSERVE;
	bool held = f->held_now, fin = fin_is_queued(sk), overdue;
	struct socket_counts counts;
	__u32 length;

	if (!stats || !memory || !c)
		return;
	if (held)
		hold_lost(tp, f, stats);
	if (watched)
		leaves_unjudged(f, stats, memory, c);
	flow_unwatch(f, c);
	overdue = f->predictor.overdue;
	length = ac_on_burst_end(&f->predictor, &f->tuning, held ? AC_END_READ : AC_END_CLOSE);
	last_burst(f, stats, length, overdue);
	ac_prior_learn(&memory->prior, &f->predictor);
	service_gains(f, memory);
	call_settle(f, stats, tp, fin);
	if (watched && !flow_is_mptcp(tp))
		note_unseen(tp, f, c, fin);
	if (f->wrapper)
		ac_count(&stats->written_bytes, ac_call_unshut(tp->write_seq - f->counted_seq, fin));
	f->counted_seq = tp->write_seq;
	ac_count(&stats->flows_closed, 1);
	socket_counts(&counts, tp);
	socket_count(stats, &counts, f->weight);
	if (tp->srtt_us) {
		ac_count(&stats->rtt_us, (__u64)f->weight * (tp->srtt_us >> 3));
		ac_count(&stats->rtts, f->weight);
	}
	if (event_wanted(AC_EVENT_FLOW_CLOSED))
		event_closed(sk, tp, f, fin);
}

/*
 * The program ends the connection first: does its FIN follow right behind its last write? Where the peer was first, the
 * program may have waited for just that. Nothing may lie between that was not a write seen.
 */
static __always_inline void ends_first(struct tcp_sock *tp, struct ac_flow *f)
{
	struct ac_service_stats *stats = stats_of(f);
	__u32 now = now_us();
	bool overdue;

	/* A FIN right behind the last write is as good as a write there: a stall too. */
	if (f->waits == own_waits() || now - f->predictor.last_us <= f->tuning.burst_gap_us)
		ac_on_awake(&f->predictor);
	overdue = f->predictor.overdue;
	if (stats && tp->write_seq == f->write_seq && tp->copied_seq == f->copied_seq)
		last_burst(f, stats, ac_on_fin(&f->predictor, &f->tuning, now), overdue);
}

/*
 * The connection is over at once, and its send queue is to be thrown away: close() with unread input or SO_LINGER 0,
 * connect(AF_UNSPEC). With the socket locked and still in its old state, what the gate holds goes out as it would have
 * without it. Where a FIN comes first, it takes along what is held.
 */
static __always_inline void sends_held(struct bpf_sock_ops *ctx, struct ac_flow *f)
{
	int on = 1;

	f->asked = AC_REASON_CLOSING;
	/* Ends in tcp_push_pending_frames(), and so in the gate. Nobody will look at the option any more. */
	bpf_setsockopt(ctx, SOL_TCP, TCP_NODELAY, &on, sizeof(on));
}

/*
 * The end of a flow, before the socket leaves its state, and before a reset clears what it has counted: of every flow
 * whose end is told (tcp.bpf.h).
 */
static __always_inline void changes_state(struct bpf_sock_ops *ctx)
{
	__u32 before = ctx->args[0], after = ctx->args[1];
	bool is_first = before == TCP_ESTABLISHED && after == TCP_FIN_WAIT1;
	struct bpf_sock *sk = ctx->sk;
	struct tcp_sock *tp;
	struct ac_flow *f;

	if (!sk || (after != TCP_CLOSE && !is_first))
		return;
	tp = bpf_skc_to_tcp_sock(sk);
	f = flow_find(sk);
	if (!tp || !f || !(f->flags & AC_FLOW_OPEN))
		return;
	if (is_first) {
		ends_first(tp, f);
		return;
	}
	if (f->held_now)
		sends_held(ctx, f);
	leaves(tp, f);
	f->flags = (f->flags & ~AC_FLOW_OPEN) | AC_FLOW_LEFT;
}

SEC("sockops")
int enroll(struct bpf_sock_ops *ctx)
{
	switch (ctx->op) {
	case BPF_SOCK_OPS_TCP_LISTEN_CB:
		begins(ctx, true);
		break;
	case BPF_SOCK_OPS_TCP_CONNECT_CB:
		begins(ctx, false);
		break;
	case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
		established(ctx, AC_SIDE_CLIENT);
		break;
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
		established(ctx, AC_SIDE_SERVER);
		break;
	case BPF_SOCK_OPS_STATE_CB:
		changes_state(ctx);
		break;
	}
	return 1;
}

/* The reset that ends a connection is one packet more, sent after that. Without `skb`: what answers another's packet is
 * no flow's own. */
SEC("tp_btf/tcp_send_reset")
int BPF_PROG(flow_resets, struct sock *sk, struct sk_buff *skb)
{
	struct ac_service_stats *stats;
	struct ac_flow *f;

	if (skb || !sk)
		return 0;
	f = flow_find(sk);
	stats = f && f->flags & AC_FLOW_LEFT ? stats_of(f) : NULL;
	if (stats)
		ac_count(&stats->packets_out, f->weight);
	return 0;
}

/*
 * The last sight of every TCP socket. The congestion control's release comes behind it.
 *
 * The kernel does not run a tracing program on a CPU on which it is running already (__bpf_trace_run(),
 * kernel/trace/bpf_trace.c). Where a process works off a socket's backlog, an interrupt may end hundreds of connections
 * in the midst of one of these programs, none of which it then sees. So this one stands twice: one of the two is not
 * the one that was interrupted.
 */
static __always_inline int is_gone(struct sock *sk)
{
	struct ac_flow *f = flow_find(sk);
	struct tcp_sock *tp;

	if (!f)
		return 0;
	tp = bpf_skc_to_tcp_sock(sk);
	if (tp && f->flags & AC_FLOW_OPEN)
		leaves(tp, f);
	flow_remove(f);
	return 0;
}

SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(flow_closed, struct sock *sk)
{
	return is_gone(sk);
}

SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(flow_closed_too, struct sock *sk)
{
	return is_gone(sk);
}

char LICENSE[] SEC("license") = "GPL";
