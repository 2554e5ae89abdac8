/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* A server in a process of its own, for a sender that names none: getrusage() of the sender then leaves the receiver
 * out. */
#pragma once
#include <sys/types.h>

#include "lib/fault.h"

struct bench_sink {
	pid_t pid;
	char port[8];
};

/* It lives until bench_sink_stop() or the end of this process. */
int bench_sink_start(struct bench_sink *sink, const char *host, int family, struct fault *fault);
void bench_sink_stop(struct bench_sink *sink);
