/* SPDX-License-Identifier: GPL-2.0 */
/* The least retransmission timeout of a flow: lowered as its policy says (`rto_min`), and given back. */
#pragma once
#include "maps.bpf.h"
#include "tcp.bpf.h"

/* The kernel's own, TCP_RTO_MIN. bpf_setsockopt() takes no more than that, and no less than two ticks
 * (TCP_TIMEOUT_MIN). */
#define RTO_MOST_US 200000
#define RTO_LEAST_TICKS 2
/* As much as the flow's record has room for: a second and more, but on a kernel of 1000 ticks a second. */
#define RTO_MOST_TICKS 255

static __always_inline bool rto_ask(void *ctx, int us)
{
	return !bpf_setsockopt(ctx, SOL_TCP, TCP_BPF_RTO_MIN, &us, sizeof(us));
}

/* The socket has ticks, the option microseconds: how many make a tick is told by what becomes of 200 ms. */
static __always_inline bool rto_put_back(void *ctx, struct tcp_sock *tp, __u32 ticks)
{
	__u32 most;

	if (!rto_ask(ctx, RTO_MOST_US))
		return false;
	most = tp->inet_conn.icsk_rto_min;
	return !most || ticks >= most || rto_ask(ctx, ticks * RTO_MOST_US / most);
}

/* `ctx` is what bpf_setsockopt() takes in the calling program. A value that is lower already is the program's, or the
 * administrator's. */
static __always_inline void rto_lower(void *ctx, struct tcp_sock *tp, struct ac_flow *f, __u32 us)
{
	__u32 own = f->rto_set ? f->rto_own : tp->inet_conn.icsk_rto_min, now;

	if (own <= RTO_LEAST_TICKS || own > RTO_MOST_TICKS || !rto_ask(ctx, us))
		return;
	now = tp->inet_conn.icsk_rto_min;
	f->rto_own = own;
	f->rto_set = now;
	if (now >= own && rto_put_back(ctx, tp, own))
		f->rto_set = 0;
}

/* Brings the flow to the least timeout that its policy asks for, `us`, or back to its own for 0. */
static __always_inline void rto_apply(void *ctx, struct tcp_sock *tp, struct ac_flow *f, __u32 us)
{
	/* The program has asked for another meanwhile (TCP_RTO_MIN_US, 6.15): that is its own now. */
	if (f->rto_set && tp->inet_conn.icsk_rto_min != f->rto_set)
		f->rto_set = 0;
	if (us)
		rto_lower(ctx, tp, f, us);
	else if (f->rto_set && rto_put_back(ctx, tp, f->rto_own))
		f->rto_set = 0;
}
