/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* One TCP socket as the agent sees it: the value of the map `records`. */
#pragma once
#include <autocork/types.h>
#include <autocork/predictor.h>
#include <autocork/policy.h>

/* Why a release happened (docs/design.md, "Words"). Order is the wire order of every table that lists reasons. */
#define AC_REASONS(X) \
	X(COMPLETE, "complete", "its last write came, as predicted") \
	X(FULL, "full", "a full segment was waiting") \
	X(APP_WAIT, "app_wait", "the program went to read or poll") \
	X(DEADLINE, "deadline", "max_hold ran out") \
	X(ACK, "ack", "everything sent before was acknowledged") \
	X(OPTION, "option", "the program set TCP_NODELAY or corked itself") \
	X(CLOSING, "closing", "shutdown, close or an urgent state") \
	X(CEILING, "ceiling", "the kernel's own timer came first")

enum ac_reason {
#define X(id, name, text) AC_REASON_##id,
	/* clang-format off */
	AC_REASONS(X)
#undef X
	AC_REASON_MAX,
	/* clang-format on */
};

/* Why a flow that a policy wants managed is left alone. */
#define AC_REFUSALS(X) \
	X(NONE, "none", "managed, or not asked for") \
	X(NO_WRAPPER, "no_wrapper", "its congestion control has no wrapper") \
	X(ROUTE_LOCKED, "route_locked", "its route locks the congestion control") \
	X(MPTCP, "mptcp", "it belongs to an MPTCP connection") \
	X(ULP, "ulp", "an upper-layer protocol (kTLS) refused the change") \
	X(NO_GAIN, "no_gain", "its messages are single writes") \
	X(STAMPED, "stamped", "it asks when each write leaves (SO_TIMESTAMPING)") \
	X(RECORD, "record", "its writes end records (MSG_EOR): none joins another") \
	X(ZEROCOPY, "zerocopy", "its small writes are zero-copy, each with a notification") \
	X(UNTOLD, "untold", "the kernel (before 6.12) does not tell its end: it is older than the agent") \
	X(ERROR, "error", "the kernel refused the change for another reason") \
	X(NO_DESCRIPTOR, "no_descriptor", "no process has a descriptor of it that can be taken") \
	X(LOCK_HELD, "lock_held", "a socket of its control group was kept locked") \
	X(OBSERVES, "observes", "the agent can only observe here: autocork doctor says why") \
	X(NOT_IN_TIME, "not_in_time", "it ended before the agent had come to it")

enum ac_refusal {
#define X(id, name, text) AC_REFUSAL_##id,
	/* clang-format off */
	AC_REFUSALS(X)
#undef X
	AC_REFUSAL_MAX,
	/* clang-format on */
};

/* Congestion controls with a wrapper. X(id, kernel name, wrapper name (at most 15 characters)) */
#define AC_WRAPPERS(X) \
	X(CUBIC, "cubic", "autocork_cubic") \
	X(BBR, "bbr", "autocork_bbr") \
	X(RENO, "reno", "autocork_reno") \
	X(DCTCP, "dctcp", "autocork_dctcp")

enum ac_wrapper {
	AC_WRAPPER_NONE,
#define X(id, kernel, wrapper) AC_WRAPPER_##id,
	/* clang-format off */
	AC_WRAPPERS(X)
#undef X
	AC_WRAPPER_MAX,
	/* clang-format on */
};

/* Socket options whose calls are counted. X(id, name of the option, value of the kernel's TCP_… constant) */
#define AC_OPTIONS(X) \
	X(NODELAY, "nodelay", 1) \
	X(CORK, "cork", 3)

enum ac_option {
#define X(id, name, value) AC_OPTION_##id,
	/* clang-format off */
	AC_OPTIONS(X)
#undef X
	AC_OPTION_MAX,
	/* clang-format on */
};

/* What is known of a write call when it begins. */
enum ac_call {
	AC_CALL_OPEN = 1 << 0,	   /* there is one */
	AC_CALL_MORE = 1 << 1,	   /* it carries MSG_MORE */
	AC_CALL_CORKED = 1 << 2,   /* the socket has TCP_CORK */
	AC_CALL_SPLICED = 1 << 3,  /* sendfile or splice: pages by reference */
	AC_CALL_ZEROCOPY = 1 << 4, /* MSG_ZEROCOPY on a socket that allows it */
	AC_CALL_GATED = 1 << 5,	   /* the flow is managed: the gate counts it, by the burst */
};

enum ac_flow_flags {
	AC_FLOW_OPEN = 1 << 0,	    /* policy and service are known; before that only what is in `early` is */
	AC_FLOW_COMM = 1 << 1,	    /* the program's name was taken in the program's own context */
	AC_FLOW_WATCHED = 1 << 2,   /* counted in control.watched */
	AC_FLOW_NO_GAIN = 1 << 3,   /* counted as AC_REFUSAL_NO_GAIN: once, however often it goes on the wrapper and
				     * off */
	AC_FLOW_OVERRULED = 1 << 5, /* counted as refused by the gate itself, on its wrapper: once */
	AC_FLOW_LEFT = 1 << 6,	    /* the connection is over and counted; its socket is still there */
};

/* Does a write of a flow in shadow wait for the ACK of an earlier one (Nagle's algorithm)? */
enum ac_stall {
	AC_STALL_NONE,
	AC_STALL_SEEN,	    /* yes, and holding would not have changed it */
	AC_STALL_AVOIDABLE, /* yes, and the write before it in the burst would have been held: both would leave
			     * together */
};

/* What is known of a socket before it is a flow. */
struct ac_early {
	__u8 calls[AC_OPTION_MAX]; /* setsockopt() … */
	__u8 idle[AC_OPTION_MAX];  /* … and those of them that changed nothing */
};

/* How far the program's name is to be trusted (bpf/program.bpf.h). */
enum ac_named {
	AC_NAMED,	 /* it was seen */
	AC_NAMED_LIKELY, /* it has accepted there before: the first write tells */
	AC_NAMED_OPEN,	 /* anyone may accept there: the flow is watched until the program is seen */
};

/* How many are followed at once: the option --max-flows. Their records take memory from the start. */
#define AC_FLOWS_MIN 1024
#define AC_FLOWS_DEFAULT 65536
#define AC_FLOWS_MAX 4194304

struct ac_flow {
	__u64 sock; /* address of the struct sock; 0 = the record is free */
	/* the gate: what every write touches */
	__u32 write_seq;  /* tp->write_seq when last looked at */
	__u32 copied_seq; /* tp->copied_seq then: a change means the program has read */
	__u32 saved_cwnd; /* window to put back; 0 = the gate is open */
	union {
		__u32 hold_us;	/* tcp_mstamp (low 32 bits) when the first write of this hold was held */
		__u32 stall_us; /* in shadow: when Nagle's algorithm kept the first write that still waits */
	};
	union {
		__u32 hold_nxt;	 /* tp->snd_nxt then: a change without us means the kernel's own timer sent */
		__u32 stall_seq; /* in shadow: that write's first byte */
	};
	__u32 max_hold_us;
	union {
		__u32 hold_limit_us; /* of the hold under way */
		__u32 ran_us;	     /* if it is `timed`: the program's own CPU time at the last write */
	};
	struct ac_tuning tuning;
	union {
		struct ac_predictor predictor;
		struct ac_early early; /* until AC_FLOW_OPEN */
	};
	__u32 prior_cwnd; /* the real window when loss recovery saved a gated one */
	__u16 held_now;	  /* writes in this hold */
	__u8 flags;	  /* enum ac_flow_flags */
	__u8 asked;	  /* enum ac_reason why the release process was asked to end the hold; 0 = it was not */
	__u8 side;	  /* enum ac_side */
	__u8 mode;	  /* enum ac_mode */
	__u8 wrapper;	  /* enum ac_wrapper; 0 = not managed */
	__u8 refusal;	  /* enum ac_refusal */
	__u16 service;
	__u16 policy;
	__u16 generation; /* of the policy set this flow was matched against */
	__u32 number;	  /* of the record */
	__u32 place;	  /* in the index (bpf/index.bpf.h) */
	/* totals of this flow */
	__u32 writes;
	__u32 bursts;
	__u32 held;
	__u32 misses;
	__u32 opened_ms;    /* CLOCK_MONOTONIC, milliseconds */
	__u32 first_seq;    /* write_seq at open: written bytes below 4 GiB by difference */
	__u32 watched_from; /* bursts when the observer last began to see it for a reason */
	__u32 counted_seq;  /* write_seq up to which the service's written_bytes have it */
	/* the observer's: the write call that is not counted yet (bpf/calls.bpf.h) */
	__u32 call_seq;		/* write_seq when it began … */
	__u32 call_end;		/* … and when all of it will be queued */
	__u32 piece_seq;	/* write_seq when it was seen last */
	__u8 call;		/* enum ac_call; 0 = none */
	__u8 stalled;		/* enum ac_stall */
	__u8 weight;		/* ac_flow_weight() as its counters have it */
	__u8 rto_own;		/* icsk_rto_min, in the kernel's ticks, before the policy lowered it … */
	__u8 rto_set;		/* … and as it is since; 0 = it did not */
	__u8 vain;		/* calls seen that the observer has no business with, not yet in control.vain_calls */
	__u8 named;		/* enum ac_named */
	char comm[AC_COMM_LEN]; /* the program */
	__u16 seen;		/* writes of the gate's burst that came before the flow was on its wrapper */
	__u8 hold_nagle;	/* enum ac_nagle for the write that began the hold under way */
	__u8 timed;		/* the last write left, and the program's own time then is known */
	__u32 waits;		/* how often the program had gone to sleep at the last write that left, or when the
				 * last hold began */
};
_Static_assert(sizeof(struct ac_flow) <= 280, "--max-flows in autocorkd(8) says so");
