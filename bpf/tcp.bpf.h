/* SPDX-License-Identifier: GPL-2.0 */
/* What the kernel's tcp.h says inline, said again over BTF pointers. */
#pragma once
#include <autocork/predictor_state.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>

/* struct_ops and iterators hand out a struct sock that the verifier knows to be a tcp_sock. */
static __always_inline struct tcp_sock *tcp_sk(const struct sock *sk)
{
	return (struct tcp_sock *)sk;
}

static __always_inline struct sock *sk_of(struct tcp_sock *tp)
{
	return &tp->inet_conn.icsk_inet.sk;
}

/* A member of the struct sock, of a socket that may be gone. */
#define SOCK_PROBED(tp, member) BPF_CORE_READ(tp, inet_conn.icsk_inet.sk.member)

static __always_inline __u32 packets_in_flight(const struct tcp_sock *tp)
{
	return tp->packets_out - (tp->sacked_out + tp->lost_out) + tp->retrans_out;
}

static __always_inline __u32 unsent_bytes(const struct tcp_sock *tp)
{
	return tp->write_seq - tp->snd_nxt;
}

static __always_inline __u8 ca_state(struct tcp_sock *tp)
{
	return BPF_CORE_READ_BITFIELD(&tp->inet_conn, icsk_ca_state);
}

static __always_inline __u8 nonagle(struct tcp_sock *tp)
{
	return BPF_CORE_READ_BITFIELD(tp, nonagle);
}

/*
 * tcp_nagle_check(): a last segment of `bytes` that is not full waits while an earlier small one is not acknowledged.
 * For a socket with neither TCP_NODELAY nor TCP_CORK.
 */
static __always_inline bool nagle_keeps(const struct tcp_sock *tp, __u32 bytes)
{
	return tp->packets_out && bytes && bytes < tp->mss_cache && ac_before(tp->snd_una, tp->snd_sml) &&
	       !ac_before(tp->snd_nxt, tp->snd_sml);
}

/* What Nagle's algorithm says to a write of `bytes`. */
static __always_inline enum ac_nagle nagle_of(struct tcp_sock *tp, __u32 bytes)
{
	if (nonagle(tp) & TCP_NAGLE_OFF)
		return AC_NAGLE_OFF;
	return nagle_keeps(tp, bytes) ? AC_NAGLE_KEEPS : AC_NAGLE_SENDS;
}

/* Both ends of a connection: IPv6, or v4-mapped. */
static __always_inline void sock_addresses(struct sock *sk, __u8 local[16], __u8 remote[16])
{
	if (sk->__sk_common.skc_family == AF_INET6) {
		BPF_CORE_READ_INTO((struct in6_addr *)local, sk, __sk_common.skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO((struct in6_addr *)remote, sk, __sk_common.skc_v6_daddr);
		return;
	}
	__builtin_memset(local, 0, 10);
	__builtin_memset(remote, 0, 10);
	local[10] = local[11] = remote[10] = remote[11] = 0xff;
	*(__be32 *)(local + 12) = sk->__sk_common.skc_rcv_saddr;
	*(__be32 *)(remote + 12) = sk->__sk_common.skc_daddr;
}

static __always_inline __u32 netns_of(struct sock *sk)
{
	return sk->__sk_common.skc_net.net->ns.inum;
}

static __always_inline __u32 now_ms(void)
{
	return bpf_ktime_get_ns() / 1000000;
}

static __always_inline __u32 now_us(void)
{
	return bpf_ktime_get_ns() / 1000;
}

/*
 * Sends what is queued, from an iterator: setting TCP_NODELAY, even where it is set already, ends in
 * tcp_push_pending_frames(), and so in the gate. From 7.1 on (commit 54377fcab51f) congestion-control callbacks may not
 * do this; iterators still may.
 */
static __always_inline void push_pending(struct tcp_sock *tp)
{
	bool nodelay = nonagle(tp) & TCP_NAGLE_OFF;
	int on = 1, off = 0;

	if (!bpf_setsockopt(tp, SOL_TCP, TCP_NODELAY, &on, sizeof(on)) && !nodelay)
		bpf_setsockopt(tp, SOL_TCP, TCP_NODELAY, &off, sizeof(off));
}

/*
 * Asks that enroll() (life.bpf.c) be told when the connection ends: a reset throws away what is held, and may clear
 * what the socket has counted. False if it will not be. From a congestion control and from iterators kernels
 * before 6.12 know no way to ask; there the sockops program itself has asked when the connection began, or nobody has.
 */
static __always_inline bool ask_for_end(struct tcp_sock *tp)
{
	int flags = tp->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG;

	return tp->bpf_sock_ops_cb_flags & BPF_SOCK_OPS_STATE_CB_FLAG ||
	       !bpf_setsockopt(tp, SOL_TCP, AC_TCP_BPF_SOCK_OPS_CB_FLAGS, &flags, sizeof(flags));
}
