/* SPDX-License-Identifier: GPL-2.0 */
/* Write calls (include/autocork/call.h) as a socket shows them. */
#pragma once
#include "maps.bpf.h"
#include "tcp.bpf.h"
#include <autocork/call.h>

/* Is the FIN, which takes a sequence number, among what was written? sk_shutdown does not tell: close() sets it before
 * a reset too. */
static __always_inline bool fin_in_state(__u8 state)
{
	return (state >= TCP_FIN_WAIT1 && state <= TCP_TIME_WAIT) || state == TCP_LAST_ACK || state == TCP_CLOSING;
}

static __always_inline bool fin_is_queued(struct sock *sk)
{
	return fin_in_state(sk->__sk_common.skc_state);
}

/* The call under way, if there is one, is over: of a socket at `seq`, with this `mss`. */
static __always_inline void call_settle_at(struct ac_flow *f, struct ac_service_stats *stats, __u32 seq, __u32 mss,
					   bool shut)
{
	__u32 bytes = ac_call_bytes(f, seq, shut);

	if (bytes && ac_call_count(stats, f->call, bytes, mss, f->weight))
		f->writes++;
	f->call = 0;
}

static __always_inline void call_settle(struct ac_flow *f, struct ac_service_stats *stats, struct tcp_sock *tp,
					bool shut)
{
	call_settle_at(f, stats, tp->write_seq, tp->mss_cache, shut);
}

static __always_inline bool sock_flag(struct sock *sk, __u64 flag)
{
	return sk->__sk_common.skc_flags >> flag & 1;
}

/* Payload received, from tp->bytes_received and sk->sk_flags: the kernel counts the peer's FIN too. */
static __always_inline __u64 received_payload(__u64 received, __u64 flags)
{
	return received - (flags >> bpf_core_enum_value(enum sock_flags, SOCK_DONE) & 1);
}

/* A burst of `length` writes, of a flow that is not managed, is over. */
static __always_inline void burst_count(struct ac_service_stats *stats, const struct ac_flow *f, __u32 length)
{
	ac_count(&stats->bursts, f->weight);
	ac_add_in(stats->burst_length, length, f->weight);
	if (f->weight > 1)
		ac_count(&stats->inferred_bursts, f->weight - 1);
}

/* What the socket itself has counted. */
struct socket_counts {
	__u64 segments, retransmits, packets_out, packets_in, sent_bytes, received_bytes;
	__u32 write_seq, mss;
	bool shut; /* the FIN is among the bytes written */
};

#define SOCKET_COUNTS(counts, tp, READ) \
	do { \
		(counts)->segments = READ(tp, data_segs_out); \
		(counts)->retransmits = READ(tp, total_retrans); \
		(counts)->packets_out = READ(tp, segs_out); \
		(counts)->packets_in = READ(tp, segs_in); \
		(counts)->sent_bytes = READ(tp, bytes_sent); \
		(counts)->received_bytes = received_payload(READ(tp, bytes_received), \
							    READ(tp, inet_conn.icsk_inet.sk.__sk_common.skc_flags)); \
		(counts)->write_seq = READ(tp, write_seq); \
		(counts)->mss = READ(tp, mss_cache); \
		(counts)->shut = fin_in_state(READ(tp, inet_conn.icsk_inet.sk.__sk_common.skc_state)); \
	} while (0)

#define READ_LOCKED(tp, member) ((tp)->member)

static __always_inline void socket_counts(struct socket_counts *counts, struct tcp_sock *tp)
{
	SOCKET_COUNTS(counts, tp, READ_LOCKED);
}

/* Of a socket that is neither locked nor kept. */
static __always_inline void socket_counts_probed(struct socket_counts *counts, struct tcp_sock *tp)
{
	SOCKET_COUNTS(counts, tp, BPF_CORE_READ);
}

/* Adds it so many times; the number may be negative. */
static __always_inline void socket_count(struct ac_service_stats *stats, const struct socket_counts *counts,
					 __s64 weight)
{
	ac_count(&stats->segments, weight * counts->segments);
	ac_count(&stats->retransmits, weight * counts->retransmits);
	ac_count(&stats->packets_out, weight * counts->packets_out);
	ac_count(&stats->packets_in, weight * counts->packets_in);
	ac_count(&stats->sent_bytes, weight * counts->sent_bytes);
	ac_count(&stats->received_bytes, weight * counts->received_bytes);
}

/*
 * The flow's weight may have changed. When it closes, the socket's counts are added with its last weight: what they are
 * by now is added with the difference, so that each part of them has the weight that the writes of that time have. The
 * sum over CPUs and open flows is right, whatever the parts wrap to.
 */
static __always_inline void flow_weigh(struct ac_flow *f, struct ac_service_stats *stats,
				       const struct socket_counts *counts, const struct ac_control *c)
{
	__u32 weight = ac_flow_weight(f->mode, c->weight);

	if (weight == f->weight)
		return;
	call_settle_at(f, stats, counts->write_seq, counts->mss, counts->shut);
	socket_count(stats, counts, (__s64)f->weight - weight);
	/* Its end may come while nobody looks. */
	f->stalled = AC_STALL_NONE;
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
