/* SPDX-License-Identifier: GPL-2.0 */
/* A call of setsockopt() for one of the options that are counted, as a cgroup/setsockopt program sees it:
 * beforehand. */
#pragma once
#include "tcp.bpf.h"
#include <autocork/option.h>

struct option_call {
	enum ac_option option;
	bool on;   /* what it is set to */
	bool idle; /* it will change nothing */
};

/* tp of a socket that the verifier lets us read little of: its address, taken as a number, for probing reads only. */
static __always_inline struct tcp_sock *option_tcp(struct bpf_sock *sk)
{
	struct tcp_sock *tp;

	bpf_probe_read_kernel(&tp, sizeof(tp), &sk);
	return tp;
}

/* The call may be made on any socket: a UNIX or UDP one refuses it, that of MPTCP passes it on. */
static __always_inline bool option_is_tcp(const struct bpf_sock *sk)
{
	return (sk->family == AF_INET || sk->family == AF_INET6) && sk->type == SOCK_STREAM &&
	       sk->protocol == IPPROTO_TCP;
}

/* False if it is some other call. */
static __always_inline bool option_read(struct bpf_sockopt *ctx, struct option_call *call)
{
	int *value = ctx->optval;
	struct tcp_sock *tp;

	if (ctx->level != SOL_TCP || !ctx->sk || !option_is_tcp(ctx->sk))
		return false;
	if (ctx->optname == TCP_NODELAY)
		call->option = AC_OPTION_NODELAY;
	else if (ctx->optname == TCP_CORK)
		call->option = AC_OPTION_CORK;
	else
		return false;
	call->on = false;
	call->idle = true;
	/*
	 * Too short: the kernel refuses it, and nothing changes. The copy made for us has 16 bytes at least. 0: another
	 * program has passed it, see below.
	 */
	if ((ctx->optlen > 0 && ctx->optlen < (int)sizeof(*value)) || (void *)(value + 1) > ctx->optval_end)
		return true;
	call->on = *value;
	tp = option_tcp(ctx->sk);
	call->idle = ac_option_idle(call->option, call->on, BPF_CORE_READ_BITFIELD_PROBED(tp, nonagle),
				    BPF_CORE_READ(tp, write_seq) != BPF_CORE_READ(tp, snd_nxt));
	return true;
}

/*
 * Lets the call go on as the program made it: with 0 the kernel takes the program's own bytes, not the copy that was
 * made for us. Of the copy 7.2's tls_setsockopt() warns (sockptr.h:49), and it has a page at most: up to 6.4 the kernel
 * refuses a call whose length says more.
 */
static __always_inline int option_pass(struct bpf_sockopt *ctx)
{
	ctx->optlen = 0;
	return 1;
}
