/* SPDX-License-Identifier: GPL-2.0 */
/* setsockopt() calls by option, and those that set what was set already. Looks only: the call goes on as the program made it. */
#pragma once
#include "maps.bpf.h"
#include "tcp.bpf.h"

/* tp->nonagle of a socket that the verifier lets us read nothing of: its address, taken as a number. */
static __always_inline __u8 option_nonagle(struct bpf_sock *sk)
{
	struct tcp_sock *tp;

	bpf_probe_read_kernel(&tp, sizeof(tp), &sk);
	return BPF_CORE_READ_BITFIELD_PROBED(tp, nonagle);
}

static __always_inline bool option_idle(struct bpf_sockopt *ctx, __u8 bit)
{
	int *value = ctx->optval;

	/* Too short: the kernel refuses it, and nothing changes. */
	if ((void *)(value + 1) > ctx->optval_end)
		return true;
	return !*value == !(option_nonagle(ctx->sk) & bit);
}

static __always_inline void option_count(struct bpf_sockopt *ctx, enum ac_option option, __u8 bit)
{
	struct ac_flow *f = bpf_sk_storage_get(&flows, ctx->sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	bool idle = option_idle(ctx, bit);
	struct ac_service_stats *stats;

	if (!f)
		return;
	if (!(f->flags & AC_FLOW_OPEN)) {
		/* Whose call it is will be known once the flow is open. */
		if (f->early.calls[option] < 255) {
			f->early.calls[option]++;
			f->early.idle[option] += idle;
		}
		return;
	}
	stats = stats_of(f);
	if (!stats)
		return;
	ac_count(&stats->option_calls[option], 1);
	if (idle)
		ac_count(&stats->option_idle[option], 1);
}

SEC("cgroup/setsockopt")
int option_set(struct bpf_sockopt *ctx)
{
	if (ctx->level == SOL_TCP && ctx->optname == TCP_NODELAY && ctx->sk)
		option_count(ctx, AC_OPTION_NODELAY, TCP_NAGLE_OFF);
	else if (ctx->level == SOL_TCP && ctx->optname == TCP_CORK && ctx->sk)
		option_count(ctx, AC_OPTION_CORK, TCP_NAGLE_CORK);
	/*
	 * 0: the kernel takes the program's own bytes, not the copy that was made for us. Of the copy 7.2's tls_setsockopt() warns
	 * (sockptr.h:49), and it has a page at most: up to 6.4 the kernel refuses a call whose length says more.
	 */
	ctx->optlen = 0;
	return 1;
}
