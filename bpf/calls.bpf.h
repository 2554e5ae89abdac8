/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Write calls, counted exactly. What the observer sees of a call is its beginning (fentry) or each of its pieces (tracepoint), never
 * its result. How many bytes it queued shows in write_seq when the next call begins, or when the flow closes; then it is counted.
 * A call that queued nothing (EAGAIN) never is. What is still open at a scrape the agent adds by itself (agent/engine/read.c).
 */
#pragma once
#include "maps.bpf.h"
#include "tcp.bpf.h"

#define SEND_SHUTDOWN 2	/* include/net/sock.h */

/* The FIN takes a sequence number too. */
static __always_inline __u32 call_unshut(__u32 bytes, bool shut)
{
	return bytes && shut ? bytes - 1 : bytes;
}

/* What the call under way has queued when write_seq is `seq`. */
static __always_inline __u32 call_bytes(const struct ac_flow *f, __u32 seq, bool shut)
{
	__u32 bytes = seq - f->call_seq, whole = f->call_end - f->call_seq;

	if (!(f->call & AC_CALL_OPEN))
		return 0;
	/* More than the whole: the FIN, or writes that nobody observed. */
	return bytes >= whole ? whole : call_unshut(bytes, shut);
}

/* A call of `bytes` bytes, as f->call describes it. */
static __always_inline void call_count(struct ac_flow *f, struct ac_service_stats *stats, __u32 bytes, __u32 mss)
{
	if (bytes < mss)
		count(&stats->small_writes, 1);
	count_in(stats->write_size, bytes);
	if (f->call & AC_CALL_MORE)
		count(&stats->more_writes, 1);
	if (f->call & AC_CALL_SPLICED)
		count(&stats->spliced_bytes, bytes);
	else if (f->call & AC_CALL_ZEROCOPY)
		count(&stats->zerocopy_bytes, bytes);
	else if (bytes >= AC_LARGE_WRITE)
		count(&stats->large_copied_bytes, bytes);
	if (!(f->call & AC_CALL_GATED))
		count(&stats->written_bytes, bytes);
	/* The gate looks away while the program corks by itself. */
	if (f->call & AC_CALL_GATED && !(f->call & (AC_CALL_MORE | AC_CALL_CORKED)))
		return;
	f->writes++;
	count(&stats->writes, 1);
}

/* The call under way, if there is one, is over. */
static __always_inline void call_settle(struct ac_flow *f, struct ac_service_stats *stats, struct tcp_sock *tp, bool shut)
{
	__u32 bytes = call_bytes(f, tp->write_seq, shut);

	if (bytes)
		call_count(f, stats, bytes, tp->mss_cache);
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

/*
 * Another piece of the call under way? It ends where the call does. A call that repeats what the one before could not queue ends there
 * too, but then nothing was queued since that one was seen last; and one that may wait is the same call, awake again.
 */
static __always_inline bool call_goes_on(const struct ac_flow *f, __u32 seq, __u32 end, __u32 msg_flags)
{
	return f->call & AC_CALL_OPEN && f->call_end == end && (f->piece_seq != seq || !(msg_flags & MSG_DONTWAIT));
}

static __always_inline void call_begin(struct ac_flow *f, __u32 seq, __u32 bytes, __u8 kind)
{
	f->call_seq = f->piece_seq = seq;
	f->call_end = seq + bytes;
	f->call = kind;
}
