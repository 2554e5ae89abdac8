/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* One TCP socket as the agent sees it: the value of the socket-local storage map `flows`. */
#pragma once
#include <autocork/types.h>
#include <autocork/predictor.h>
#include <autocork/policy.h>

/* Why a release happened (docs/design.md, "Words"). Order is the wire order of every table that lists reasons. */
#define AC_REASONS(X)                                                         \
	X(COMPLETE, "complete", "predicted last write of the burst")          \
	X(FULL, "full", "a full segment waits")                               \
	X(APP_WAIT, "app_wait", "the program went to read or poll")           \
	X(DEADLINE, "deadline", "max_hold ran out")                           \
	X(ACK, "ack", "everything sent before was acknowledged")              \
	X(OPTION, "option", "the program set TCP_NODELAY or corked itself")   \
	X(CLOSING, "closing", "shutdown, close or an urgent state")           \
	X(CEILING, "ceiling", "the kernel's own timer came first")

enum ac_reason {
#define X(id, name, text) AC_REASON_##id,
	AC_REASONS(X)
#undef X
	AC_REASON_MAX,
};

/* Why a flow that a policy wants managed is left alone. */
#define AC_REFUSALS(X)                                                        \
	X(NONE, "none", "managed, or not asked for")                          \
	X(NO_WRAPPER, "no_wrapper", "its congestion control has no wrapper")  \
	X(ROUTE_LOCKED, "route_locked", "its route locks the congestion control") \
	X(MPTCP, "mptcp", "it belongs to an MPTCP connection")                \
	X(ULP, "ulp", "an upper-layer protocol (kTLS) refused the change")    \
	X(NO_GAIN, "no_gain", "its bursts are single writes")                 \
	X(ERROR, "error", "the kernel refused the change for another reason")

enum ac_refusal {
#define X(id, name, text) AC_REFUSAL_##id,
	AC_REFUSALS(X)
#undef X
	AC_REFUSAL_MAX,
};

/* Congestion controls with a wrapper. X(id, kernel name, wrapper name (at most 15 characters)) */
#define AC_WRAPPERS(X)                      \
	X(CUBIC, "cubic", "autocork_cubic") \
	X(BBR, "bbr", "autocork_bbr")       \
	X(RENO, "reno", "autocork_reno")    \
	X(DCTCP, "dctcp", "autocork_dctcp")

enum ac_wrapper {
	AC_WRAPPER_NONE,
#define X(id, kernel, wrapper) AC_WRAPPER_##id,
	AC_WRAPPERS(X)
#undef X
	AC_WRAPPER_MAX,
};
