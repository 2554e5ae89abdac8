/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What a client run found, and how it is printed. */
#pragma once
#include <stdint.h>

#include "bench/bench_options.h"

struct bench_result {
	uint64_t *message_ns; /* [messages], in the order sent */
	uint32_t messages;
	uint64_t elapsed_ns;
	uint64_t user_ns, system_ns; /* client process */
	uint64_t server_cpu_ns;	     /* server process */
	uint64_t segments;	     /* data segments the client sent */
	uint64_t server_segments;
	uint64_t retransmits;
	uint64_t wrong_bytes;
};

/* Prints the figures; sorts message_ns. */
void bench_result_print(const struct bench_client_options *options, struct bench_result *result);
