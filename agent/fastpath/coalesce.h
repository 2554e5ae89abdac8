/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The coalescer: merges small in-order TCP segments of forwarded flows, one direction of one wire at a time. Pure:
 * frames are the caller's buffers, time is the caller's clock, what leaves goes through a callback. docs/fastpath.md
 * has the rules for users.
 *
 * What may be merged: two segments of one flow (addresses, ports, VLANs) that follow each other without a gap and are
 * alike in everything a receiver or a router looks at: link header, ToS, TTL, DF, flow label, acknowledgement number,
 * TCP options; with no flag but ACK and PSH, correct checksums, no IP options or extension headers, and no option that
 * signs the payload. The result keeps the first segment's headers, takes the last one's window (the newest news) and
 * PSH if any had it. It is never larger than what the sender could have sent: than the receiver's SYN allows and
 * routers said since (mss.h); where neither was seen, than the flow's largest segment so far, or what every host takes.
 * Whatever else arrives on a flow first sends what is held of it, so no flow is ever reordered.
 *
 * When a held frame leaves: when the burst it came in ends (hold_ns = 0), so that nothing waits. With hold_ns set, a
 * segment that came within hold_ns of the one before, acknowledging nothing new, is part of a stream and may wait up to
 * hold_ns; any other still leaves when its burst ends.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mss_table;

#define COALESCE_FLOWS_MIN 8
#define COALESCE_FLOWS_MAX (1u << 20)
#define COALESCE_HOLD_MAX_NS 10000000ull /* 10 ms: longer would upset the sender's round-trip estimate */

/* A frame in a linear buffer. */
struct coalesce_frame {
	void *handle; /* the caller's name for the buffer, not NULL */
	uint8_t *data;
	uint32_t length;
	uint32_t room; /* bytes that fit from data on; at least length */
};

struct coalesce_options {
	uint32_t flows;	       /* flows remembered, rounded up to a power of two; COALESCE_FLOWS_MIN …
				* COALESCE_FLOWS_MAX */
	uint32_t max_len;      /* largest IP datagram made: the MTU of the wire it leaves on; at most 65,535 */
	struct mss_table *mss; /* of both directions of the wire; NULL: every receiver takes max_len */
	uint64_t hold_ns;      /* 0 … COALESCE_HOLD_MAX_NS */
	uint64_t seed;	       /* of the hash; random, so that nobody can aim flows at one bucket */
	void (*emit)(void *context, const struct coalesce_frame *frame); /* the frame leaves: send it */
	void (*absorb)(void *context, void *handle); /* its bytes are in another frame: free the buffer */
	void *context;
};

/* Counters only grow, except flows and held. */
struct coalesce_stats {
	uint64_t merged;  /* frames absorbed into another: packets saved */
	uint64_t held;	  /* frames held now */
	uint64_t flows;	  /* flows remembered now */
	uint64_t evicted; /* flows forgotten because their bucket was full */
	/* small segments passed on untouched because a checksum was wrong (or left to hardware) */
	uint64_t bad_checksum;
	uint64_t opaque;  /* packets of unknown flow: everything held was sent before them */
	uint64_t delayed; /* frames that left because hold_ns ran out */
};

struct coalescer;

/* NULL with errno set (EINVAL, ENOMEM). */
struct coalescer *coalescer_new(const struct coalesce_options *options);
/* Frees it; what is held goes to absorb(), unsent: call coalescer_flush() first if it should leave. NULL is allowed. */
void coalescer_free(struct coalescer *c);

/* The MTU of the wire changed. */
void coalescer_set_max_len(struct coalescer *c, uint32_t max_len);

/* Takes a frame over. It is emitted or absorbed, now or later. now_ns never goes back and is the same for all of a
 * burst. */
void coalescer_push(struct coalescer *c, const struct coalesce_frame *frame, uint64_t now_ns);
/* Ends a burst: sends what must not wait longer. To be called after every burst and at coalescer_deadline() at the
 * latest. */
void coalescer_expire(struct coalescer *c, uint64_t now_ns);
/* Sends everything held. */
void coalescer_flush(struct coalescer *c);
/* When the next held frame must leave; UINT64_MAX if none is held. */
uint64_t coalescer_deadline(const struct coalescer *c);

const struct coalesce_stats *coalescer_stats(const struct coalescer *c);
