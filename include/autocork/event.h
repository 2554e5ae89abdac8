/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Event records: what the BPF side reports about single flows, through the ring buffer `events`, while somebody
 * listens.
 *
 * Nobody listens: control.event_mask (one bit per type, AC_EVENT_BIT) is 0, and a program does one load and one branch.
 * A record that finds the ring full is counted in control.lost_events; nothing waits. Types from
 * AC_EVENT_POLICY_CHANGED on are made by the agent itself and never come through the ring.
 */
#pragma once
#include <autocork/types.h>
#include <autocork/flow.h>

/* X(id, name in JSON and text, what it says). Order is the bit order of the mask; those of the kernel side come
 * first. */
#define AC_EVENTS(X) \
	X(FLOW_OPENED, "flow_opened", "a flow got its policy") \
	X(FLOW_MANAGED, "flow_managed", "the flow is managed from now on, or could not be") \
	X(FLOW_RETURNED, "flow_returned", "the flow is not managed any more") \
	X(FIRST_HOLD, "first_hold", "the first write of this flow was held") \
	X(RELEASE, "release", "what was held left") \
	X(MISS, "miss", "something was held too long: the message ended before") \
	X(BACKOFF, "backoff", "after that, nothing is held for some messages") \
	X(FLOW_CLOSED, "flow_closed", "the flow ended; its summary") \
	X(RESPONSE, "response", "a response ended: the program read again after it wrote") \
	X(WRITE, "write", "the program wrote") \
	X(READ, "read", "the program read, or asked and nothing was there") \
	X(END, "end", "the program closed the flow or its sending side, or a reset did") \
	X(POLICY_CHANGED, "policy_changed", "another policy set is in force") \
	X(RELOAD, "reload", "the policy files were read again") \
	X(SAMPLING, "sampling", "telemetry began or stopped to sample, to stay in its budget") \
	X(ENDPOINT, "endpoint", \
	  "a program with TCP of its own got or lost its queue, or moved a connection to the kernel") \
	X(LOST, "lost", "events that found no room")

enum ac_event_type {
#define X(id, name, text) AC_EVENT_##id,
	/* clang-format off */
	AC_EVENTS(X)
#undef X
	AC_EVENT_MAX,
	/* clang-format on */
};

#define AC_EVENT_BIT(type) (1u << (type))
/* A power of two and a multiple of the page size: about 5,000 records. */
#define AC_EVENT_RING_BYTES (1u << 20)
/* The types that the ring carries. */
#define AC_EVENT_FROM_KERNEL (AC_EVENT_BIT(AC_EVENT_POLICY_CHANGED) - 1)
/* Those of a program's single calls. */
#define AC_EVENT_OF_CALLS (AC_EVENT_BIT(AC_EVENT_WRITE) | AC_EVENT_BIT(AC_EVENT_READ) | AC_EVENT_BIT(AC_EVENT_END))
/* Of these there is one or more for each message: only who names them is told. */
#define AC_EVENT_ON_REQUEST (AC_EVENT_BIT(AC_EVENT_RELEASE) | AC_EVENT_BIT(AC_EVENT_RESPONSE) | AC_EVENT_OF_CALLS)

/* Whose event it is; the same for every type. */
struct ac_event_flow {
	__u64 cookie;		       /* socket cookie, unique per boot */
	__u64 cgroup;		       /* cgroup v2 id of the socket */
	__u32 netns;		       /* inode number of the network namespace */
	__u16 local_port, remote_port; /* host order */
	__u8 local[16], remote[16];    /* IPv6, or v4-mapped */
	__u8 side;		       /* enum ac_side */
	__u8 pad[3];
	__u32 policy; /* index into the compiled set */
	char comm[AC_COMM_LEN];
};

struct ac_event_opened {
	__u8 mode; /* enum ac_mode */
	__u8 pad[7];
};

struct ac_event_managed {
	__u8 wrapper; /* enum ac_wrapper */
	__u8 refusal; /* enum ac_refusal: AC_REFUSAL_NONE when it worked */
	__u8 pad[6];
};

/* FIRST_HOLD, RELEASE and MISS: the held part of one burst. */
struct ac_event_hold {
	__u32 writes;  /* in the burst so far, the one that released it included */
	__u32 held;    /* of these, writes held */
	__u32 bytes;   /* queued by them */
	__u32 hold_us; /* from the first held write to the release */
	__u8 reason;   /* enum ac_reason; AC_REASON_MAX while nothing was released yet */
	__u8 pad[7];
};

struct ac_event_backoff {
	__u32 pause;  /* bursts in which nothing will be held */
	__u32 misses; /* of this flow so far */
};

struct ac_event_closed {
	__u64 age_us;
	__u64 writes, written_bytes;
	__u64 reads, read_bytes;
	__u64 bursts, held, misses;
	__u64 hold_us;	/* delay added, summed */
	__u32 segments; /* data segments sent */
	__u32 retransmits;
	__u32 srtt_us;
	__u32 pad;
};

enum ac_response_flags {
	AC_RESPONSE_OVERLAPS = 1 << 0,	  /* part of it, or of the one before, was unsent at the read: segments are not
					   * its own */
	AC_RESPONSE_TAIL_CORKED = 1 << 1, /* TCP_CORK was on when the last write left its tail */
	AC_RESPONSE_CLOSED = 1 << 2,	  /* the flow ended instead of a read */
};

/* RESPONSE (include/autocork/response.h). Option calls count from the read before. */
struct ac_event_response {
	__u32 writes; /* calls; a sendfile is one */
	__u32 bytes;
	__u32 segments, retransmits;	 /* data segments, without those sent again */
	__u32 mss;			 /* at the first write */
	__u32 nodelay_calls, cork_calls; /* setsockopt(TCP_NODELAY), setsockopt(TCP_CORK) */
	__u32 idle_calls;		 /* of these, calls that changed nothing */
	__u32 head_bytes;		 /* the first write, if it had left whole when the call returned; else 0 */
	__u32 gap_us;			 /* from its end to the beginning of the second */
	__u32 tail_us;			 /* from the last write to when its last part left, where that waited; else 0 */
	__u32 span_us;			 /* from the first write to the last */
	__u8 flags;			 /* enum ac_response_flags */
	__u8 pad[7];
};

/* WRITE, READ and END, after the call. */
struct ac_event_call {
	__u32 bytes; /* READ: 0 where nothing was there, or it was only looked at */
	__u32 mss;
	__u32 rtt_us; /* the shortest of late; 0 while none is known */
	__u8 nodelay; /* TCP_NODELAY is set */
	__u8 more;    /* WRITE: the program said that more follows (MSG_MORE, TCP_CORK, a piece of a
		       * sendfile) */
	__u8 pad[2];
};

struct ac_event {
	__u64 time_ns; /* CLOCK_MONOTONIC */
	__u32 type;    /* enum ac_event_type */
	__u32 pad;
	struct ac_event_flow flow;
	union {
		struct ac_event_opened opened;
		struct ac_event_managed managed;
		struct ac_event_hold hold;
		struct ac_event_backoff backoff;
		struct ac_event_closed closed;
		struct ac_event_response response;
		struct ac_event_call call;
	};
};

_Static_assert(sizeof(struct ac_event_flow) == 80, "layout shared with BPF");
_Static_assert(sizeof(struct ac_event_hold) == 24, "layout shared with BPF");
_Static_assert(sizeof(struct ac_event_closed) == 88, "layout shared with BPF");
_Static_assert(sizeof(struct ac_event) == 184, "layout shared with BPF");
