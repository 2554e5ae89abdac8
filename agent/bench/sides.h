/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The two sides of the benchmark, and the few socket calls they share. */
#pragma once
#include <stdint.h>

#include "bench/options.h"
#include "lib/fault.h"

/* 0, or -1 with the fault filled. */
int bench_client_run(const struct bench_client_options *options, struct fault *fault);
int bench_server_run(const struct bench_server_options *options, struct fault *fault);

/* What the kernel counted on a connection. */
struct bench_counted {
	uint32_t segments;		/* data segments sent, retransmissions included */
	uint32_t retransmits;
};
void bench_count(int fd, struct bench_counted *counted);
void bench_no_delay(int fd);
/* A file descriptor per connection and a few more, if the hard limit allows. */
void bench_allow_files(uint32_t connections);
