/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a program sees of a managed flow, and what it does to its socket that cannot have something held: as it would
 * without autocork. The kernel calls both with the socket locked, getsockopt() after its own answer.
 */
#pragma once
#include "maps.bpf.h"
#include "option.bpf.h"

#define WRAPPER_PREFIX 9 /* "autocork_", before the kernel's name */
#define CC_NAME_SIZE 16	 /* TCP_CA_NAME_MAX */
#define INFO_SND_CWND 80 /* struct tcp_info, tcpi_snd_cwnd; user-space ABI */

/* Does this answer need no change? */
static __always_inline bool view_name(struct bpf_sockopt *ctx)
{
	const struct tcp_congestion_ops *ops = BPF_CORE_READ(option_tcp(ctx->sk), inet_conn.icsk_ca_ops);
	char name[WRAPPER_PREFIX + CC_NAME_SIZE] = {}, *value = ctx->optval, *end = ctx->optval_end;

	if (!ops)
		return true;
	bpf_core_read(name, CC_NAME_SIZE, &ops->name);
	if (*(__u64 *)name != *(__u64 *)"autocork" || name[WRAPPER_PREFIX - 1] != '_')
		return true;
#pragma unroll
	for (int i = 0; i < CC_NAME_SIZE; i++)
		if (value + i + 1 <= end)
			value[i] = name[WRAPPER_PREFIX + i];
	return false;
}

/* The gate's window is 0, or what is in flight, while something is held. */
static __always_inline bool view_window(struct bpf_sockopt *ctx)
{
	void *value = ctx->optval;
	__u32 *window = value + INFO_SND_CWND;
	struct ac_flow *f;

	if (ctx->optlen < INFO_SND_CWND + (int)sizeof(*window) || (void *)(window + 1) > ctx->optval_end)
		return true;
	f = flow_find(ctx->sk);
	if (!f || !f->wrapper)
		return true;
	/* Of now: a hold that the kernel saw may be over. */
	*window = f->saved_cwnd ? f->saved_cwnd : BPF_CORE_READ(option_tcp(ctx->sk), snd_cwnd);
	return false;
}

SEC("cgroup/getsockopt")
int option_seen(struct bpf_sockopt *ctx)
{
	bool as_it_is = true;

	if (ctx->level == SOL_TCP && ctx->sk) {
		if (ctx->optname == TCP_CONGESTION)
			as_it_is = view_name(ctx);
		else if (ctx->optname == TCP_INFO)
			as_it_is = view_window(ctx);
	}
	return as_it_is ? option_pass(ctx) : 1;
}

/* In repair mode a program may look at the send queue, and what is queued is not sent: what was written before has left
 * by then. */
static __always_inline void view_repair(struct bpf_sock *sk)
{
	struct ac_flow *f = flow_find(sk);
	int on = 1, off = 0;
	bool nodelay;

	if (!f || !f->held_now)
		return;
	f->asked = AC_REASON_OPTION;
	nodelay = BPF_CORE_READ_BITFIELD_PROBED(option_tcp(sk), nonagle) & TCP_NAGLE_OFF;
	if (!bpf_setsockopt(sk, SOL_TCP, TCP_NODELAY, &on, sizeof(on)) && !nodelay)
		bpf_setsockopt(sk, SOL_TCP, TCP_NODELAY, &off, sizeof(off));
}

SEC("cgroup/setsockopt")
int option_comes(struct bpf_sockopt *ctx)
{
	if (ctx->level == SOL_TCP && ctx->optname == TCP_REPAIR && ctx->sk)
		view_repair(ctx->sk);
	/* A value that is too short: the program that counts calls comes behind and goes by its length, and the kernel
	 * refuses it. */
	if (ctx->level == SOL_TCP && ctx->optlen < (int)sizeof(int))
		return 1;
	return option_pass(ctx);
}
