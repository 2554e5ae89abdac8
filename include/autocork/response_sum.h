/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Responses by pattern, added up: what the kernel side keeps while somebody watches, and the command adds to by
 * service. A pattern is a service, and how many writes and option calls made the response. Pure.
 *
 * Up to AC_RESPONSE_EXACT calls are told apart one by one, more by doubling steps: a stream in a hundred pieces and one
 * in a hundred and one are the same pattern.
 */
#pragma once
#include <autocork/count.h>
#include <autocork/event.h>
#include <autocork/service.h>

#define AC_RESPONSE_EXACT 8
#define AC_RESPONSE_KEYS_MAX 4096 /* what comes after has the key whose service is AC_RESPONSE_OTHER */
#define AC_RESPONSE_OTHER AC_SERVICES_MAX

#define AC_WASTE_GAP_US 1000  /* what follows the header within that follows at once */
#define AC_WASTE_TAIL_US 1000 /* a last part that leaves later was late: it waited for the peer or a timer */

/* What a response cost that it need not have cost. X(id, name in JSON and text, unit of the amount, what it is, what to
 * do) */
#define AC_WASTES(X) \
	X(IDLE_OPTIONS, "idle_options", "calls", "setsockopt calls changed nothing", \
	  "set TCP_NODELAY once after accept or connect, and TCP_CORK only where it is not yet as wanted") \
	X(HEAD_ALONE, "head_alone", "segments", "a small first part was sent alone, and more followed at once", \
	  "write header and body with one writev(), or send the header with MSG_MORE; or manage it (mode = autocork)") \
	X(LATE_TAIL, "late_tail", "microseconds", "the last part waited for an acknowledgement (Nagle's algorithm)", \
	  "set TCP_NODELAY and write the response with one call; or manage it (mode = autocork)") \
	X(CORKED_TAIL, "corked_tail", "microseconds", "the last part waited under TCP_CORK", \
	  "take TCP_CORK off right after the last write, or send all but the last with MSG_MORE instead") \
	X(MORE_SEGMENTS, "more_segments", "segments", "it left in more segments than its bytes need", \
	  "write it with fewer calls: writev(), a larger buffer, MSG_MORE; or manage it (mode = autocork)")

enum ac_waste {
#define X(id, name, unit, text, advice) AC_WASTE_##id,
	/* clang-format off */
	AC_WASTES(X)
#undef X
	AC_WASTE_MAX,
	/* clang-format on */
};

/* Classes, by ac_response_class(). */
struct ac_response_calls {
	__u32 writes, nodelay_calls, cork_calls;
};

struct ac_response_key {
	__u32 service; /* its number, or AC_RESPONSE_OTHER */
	struct ac_response_calls calls;
};

struct ac_response_range {
	__u64 min, max, total; /* min and max count if there are responses */
};

struct ac_response_sum {
	__u64 count, overlapping, closed;
	struct ac_response_range writes, bytes, segments;
	__u64 needed; /* segments */
	__u64 retransmits, nodelay_calls, cork_calls, idle_calls;
	struct {
		__u64 responses, amount;
	} waste[AC_WASTE_MAX];
};

/* Smallest count in the same class. */
static __always_inline __u32 ac_response_class(__u32 calls)
{
	__u32 first = AC_RESPONSE_EXACT + 1;

	if (calls < first)
		return calls;
	/* 9, 18, 36 … */
	return first << ac_log2(calls / first);
}

static __always_inline struct ac_response_calls ac_response_calls(const struct ac_event_response *r)
{
	return (struct ac_response_calls){ ac_response_class(r->writes), ac_response_class(r->nodelay_calls),
					   ac_response_class(r->cork_calls) };
}

/* The fewest data segments that carry the response; 0 where the size of a segment is not known. */
static __always_inline __u32 ac_response_needed(const struct ac_event_response *r)
{
	return r->mss ? r->bytes / r->mss + !!(r->bytes % r->mss) : 0;
}

/* How much of a waste is in the response, in the waste's unit; 0: none. */
static __always_inline __u64 ac_waste_amount(const struct ac_event_response *r, enum ac_waste waste)
{
	bool corked = r->flags & AC_RESPONSE_TAIL_CORKED;
	__u32 needed = ac_response_needed(r);

	switch (waste) {
	case AC_WASTE_IDLE_OPTIONS:
		return r->idle_calls;
	case AC_WASTE_HEAD_ALONE:
		/* A first part of half a segment or more is no header that was forgotten. */
		return r->head_bytes && r->head_bytes < r->mss / 2 && r->writes > 1 && r->bytes > r->head_bytes &&
		       r->gap_us < AC_WASTE_GAP_US;
	case AC_WASTE_LATE_TAIL:
	case AC_WASTE_CORKED_TAIL:
		/* After a loss the tail waits for other reasons. */
		return r->tail_us > AC_WASTE_TAIL_US && !r->retransmits && corked == (waste == AC_WASTE_CORKED_TAIL) ?
			       r->tail_us :
			       0;
	case AC_WASTE_MORE_SEGMENTS:
		return needed && r->segments > needed && !(r->flags & AC_RESPONSE_OVERLAPS) ? r->segments - needed : 0;
	default:
		return 0;
	}
}

static __always_inline void ac_response_range_add(struct ac_response_range *range, __u64 value, bool first)
{
	if (first || value < range->min)
		range->min = value;
	if (value > range->max)
		range->max = value;
	ac_count(&range->total, value);
}

/* Most responses have nothing of most of it. */
static __always_inline void ac_response_some(__u64 *counter, __u64 n)
{
	if (n)
		ac_count(counter, n);
}

static __always_inline void ac_response_sum_add(struct ac_response_sum *sum, const struct ac_event_response *r)
{
	bool first = !sum->count;

	ac_response_range_add(&sum->writes, r->writes, first);
	ac_response_range_add(&sum->bytes, r->bytes, first);
	ac_response_range_add(&sum->segments, r->segments, first);
	ac_count(&sum->count, 1);
	ac_response_some(&sum->overlapping, !!(r->flags & AC_RESPONSE_OVERLAPS));
	ac_response_some(&sum->closed, !!(r->flags & AC_RESPONSE_CLOSED));
	ac_response_some(&sum->needed, ac_response_needed(r));
	ac_response_some(&sum->retransmits, r->retransmits);
	ac_response_some(&sum->nodelay_calls, r->nodelay_calls);
	ac_response_some(&sum->cork_calls, r->cork_calls);
	ac_response_some(&sum->idle_calls, r->idle_calls);
	for (int i = 0; i < AC_WASTE_MAX; i++) {
		__u64 amount = ac_waste_amount(r, (enum ac_waste)i);

		if (!amount)
			continue;
		ac_count(&sum->waste[i].responses, 1);
		ac_count(&sum->waste[i].amount, amount);
	}
}

static __always_inline void ac_response_range_merge(struct ac_response_range *to, const struct ac_response_range *from,
						    bool first)
{
	if (first || from->min < to->min)
		to->min = from->min;
	if (from->max > to->max)
		to->max = from->max;
	to->total += from->total;
}

static __always_inline void ac_response_sum_merge(struct ac_response_sum *to, const struct ac_response_sum *from)
{
	bool first = !to->count;

	if (!from->count)
		return;
	ac_response_range_merge(&to->writes, &from->writes, first);
	ac_response_range_merge(&to->bytes, &from->bytes, first);
	ac_response_range_merge(&to->segments, &from->segments, first);
	to->count += from->count;
	to->overlapping += from->overlapping;
	to->closed += from->closed;
	to->needed += from->needed;
	to->retransmits += from->retransmits;
	to->nodelay_calls += from->nodelay_calls;
	to->cork_calls += from->cork_calls;
	to->idle_calls += from->idle_calls;
	for (int i = 0; i < AC_WASTE_MAX; i++) {
		to->waste[i].responses += from->waste[i].responses;
		to->waste[i].amount += from->waste[i].amount;
	}
}
