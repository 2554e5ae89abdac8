/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Write calls, counted exactly. What the observer sees of a call is its beginning (fentry) or each of its pieces
 * (tracepoint), never its result. How many bytes it queued shows in write_seq when the next call begins, or when the
 * flow closes; then it is counted. A call that queued nothing (EAGAIN) never is. What is still open at a scrape
 * bpf/dump.bpf.c adds.
 *
 * Pure: bpf/calls.bpf.h knows the kernel.
 */
#pragma once
#include <autocork/count.h>
#include <autocork/flow.h>
#include <autocork/service.h>

/* Bytes of a stretch of sequence numbers at whose end the FIN may be: it takes one too. `shut`: it was sent. */
static __always_inline __u32 ac_call_unshut(__u32 bytes, bool shut)
{
	return bytes && shut ? bytes - 1 : bytes;
}

/* What the call under way has queued when write_seq is `seq`. */
static __always_inline __u32 ac_call_bytes(const struct ac_flow *f, __u32 seq, bool shut)
{
	__u32 bytes = seq - f->call_seq, whole = f->call_end - f->call_seq;

	if (!(f->call & AC_CALL_OPEN))
		return 0;
	/* More than the whole: the FIN, or writes that nobody observed. */
	return bytes >= whole ? whole : ac_call_unshut(bytes, shut);
}

/*
 * Counts a call (enum ac_call) that queued `bytes`, not 0, with the flow's weight. True if the flow's own count of
 * writes has it as well.
 */
static __always_inline bool ac_call_count(struct ac_service_stats *stats, __u8 call, __u32 bytes, __u32 mss,
					  __u64 weight)
{
	__u64 weighed = weight * bytes;

	if (bytes < mss)
		ac_count(&stats->small_writes, weight);
	ac_add_in(stats->write_size, bytes, weight);
	ac_count(&stats->sized_bytes, weighed);
	if (call & AC_CALL_MORE)
		ac_count(&stats->more_writes, weight);
	if (call & AC_CALL_SPLICED)
		ac_count(&stats->spliced_bytes, weighed);
	else if (call & AC_CALL_ZEROCOPY)
		ac_count(&stats->zerocopy_bytes, weighed);
	else if (bytes >= AC_LARGE_WRITE)
		ac_count(&stats->large_copied_bytes, weighed);
	if (!(call & AC_CALL_GATED))
		ac_count(&stats->written_bytes, weighed);
	/* The gate looks away while the program corks by itself. */
	if (call & AC_CALL_GATED && !(call & (AC_CALL_MORE | AC_CALL_CORKED)))
		return false;
	ac_count(&stats->writes, weight);
	return true;
}

/*
 * Another piece of the call under way? It ends where the call does. A call that repeats what the one before could not
 * queue ends there too, but then nothing was queued since that one was seen last; and one that may wait is the same
 * call, awake again.
 */
static __always_inline bool ac_call_goes_on(const struct ac_flow *f, __u32 seq, __u32 end, bool may_wait)
{
	return f->call & AC_CALL_OPEN && f->call_end == end && (f->piece_seq != seq || may_wait);
}

static __always_inline void ac_call_begin(struct ac_flow *f, __u32 seq, __u32 bytes, __u8 kind)
{
	f->call_seq = f->piece_seq = seq;
	f->call_end = seq + bytes;
	f->call = kind;
}
