/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The socket options that are counted, as the kernel keeps them, and which calls of setsockopt() change nothing. */
#pragma once
#include <autocork/flow.h>

/* Bits of tp->nonagle that a program sets (include/net/tcp.h). */
#define AC_NONAGLE_OFF 1  /* TCP_NODELAY */
#define AC_NONAGLE_CORK 2 /* TCP_CORK */

static __always_inline __u8 ac_option_bit(enum ac_option option)
{
	return option == AC_OPTION_CORK ? AC_NONAGLE_CORK : AC_NONAGLE_OFF;
}

/* Turning Nagle's algorithm off and taking the cork out send what waits, also when they are said again. */
static __always_inline bool ac_option_pushes(enum ac_option option, bool on)
{
	return on != (option == AC_OPTION_CORK);
}

/* Does the call change nothing? `nonagle`: before it; `unsent`: something waits in the send queue. */
static __always_inline bool ac_option_idle(enum ac_option option, bool on, __u8 nonagle, bool unsent)
{
	return !!(nonagle & ac_option_bit(option)) == on && !(unsent && ac_option_pushes(option, on));
}
