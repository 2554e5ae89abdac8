/* SPDX-License-Identifier: GPL-2.0 */
/* Write calls (include/autocork/call.h) as a socket shows them. */
#pragma once
#include "maps.bpf.h"
#include "tcp.bpf.h"
#include <autocork/call.h>

#define SEND_SHUTDOWN 2	/* include/net/sock.h */

/* The call under way, if there is one, is over. */
static __always_inline void call_settle(struct ac_flow *f, struct ac_service_stats *stats, struct tcp_sock *tp,
					bool shut)
{
	__u32 bytes = ac_call_bytes(f, tp->write_seq, shut);

	if (bytes && ac_call_count(stats, f->call, bytes, tp->mss_cache, f->weight))
		f->writes++;
	f->call = 0;
}

static __always_inline bool sock_flag(struct sock *sk, __u64 flag)
{
	return sk->__sk_common.skc_flags >> flag & 1;
}

/* Payload received: the kernel counts the peer's FIN too. */
static __always_inline __u64 received_bytes(struct sock *sk, struct tcp_sock *tp)
{
	return tp->bytes_received - sock_flag(sk, bpf_core_enum_value(enum sock_flags, SOCK_DONE));
}

/* A burst of `length` writes, of a flow that is not managed, is over. */
static __always_inline void burst_count(struct ac_service_stats *stats, const struct ac_flow *f, __u32 length)
{
	ac_count(&stats->bursts, f->weight);
	ac_add_in(stats->burst_length, length, f->weight);
	if (f->weight > 1)
		ac_count(&stats->inferred_bursts, f->weight - 1);
}

/* What the socket itself has counted, so many times; the number may be negative. */
static __always_inline void count_socket(struct ac_service_stats *stats, struct sock *sk, struct tcp_sock *tp, __s64 weight)
{
	ac_count(&stats->segments, weight * tp->data_segs_out);
	ac_count(&stats->retransmits, weight * tp->total_retrans);
	ac_count(&stats->packets_out, weight * tp->segs_out);
	ac_count(&stats->packets_in, weight * tp->segs_in);
	ac_count(&stats->sent_bytes, weight * tp->bytes_sent);
	ac_count(&stats->received_bytes, weight * received_bytes(sk, tp));
}

/*
 * The flow's weight may have changed. When it closes, the socket's counts are added with its last weight: what they are
 * by now is added with the difference, so that each part of them has the weight that the writes of that time have. The
 * sum over CPUs and open flows is right, whatever the parts wrap to.
 */
static __always_inline void flow_weigh(struct ac_flow *f, struct ac_service_stats *stats, struct sock *sk, struct tcp_sock *tp,
				       const struct ac_control *c)
{
	__u32 weight = ac_flow_weight(f->mode, f->first_seq & c->sample_mask, c->sample_mask);

	if (weight == f->weight)
		return;
	call_settle(f, stats, tp, sk->sk_shutdown & SEND_SHUTDOWN);
	count_socket(stats, sk, tp, (__s64)f->weight - weight);
	f->weight = weight;
}

static __always_inline bool call_is_zerocopy(struct sock *sk, __u32 msg_flags)
{
	return msg_flags & MSG_ZEROCOPY && sock_flag(sk, bpf_core_enum_value(enum sock_flags, SOCK_ZEROCOPY));
}

static __always_inline __u8 call_kind(struct sock *sk, struct tcp_sock *tp, const struct ac_flow *f, __u32 msg_flags)
{
	__u8 call = AC_CALL_OPEN;

	if (msg_flags & MSG_MORE)
		call |= AC_CALL_MORE;
	if (nonagle(tp) & TCP_NAGLE_CORK)
		call |= AC_CALL_CORKED;
	if (msg_flags & MSG_SPLICE_PAGES)
		call |= AC_CALL_SPLICED;
	else if (call_is_zerocopy(sk, msg_flags))
		call |= AC_CALL_ZEROCOPY;
	if (f->wrapper)
		call |= AC_CALL_GATED;
	return call;
}
