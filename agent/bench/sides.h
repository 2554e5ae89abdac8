/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The two sides of the benchmark, and the few socket calls they share. */
#pragma once
#include <netdb.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/bench_options.h"
#include "lib/fault.h"

/* 0, or -1 with the fault filled. */
int bench_client_run(const struct bench_client_options *options, struct fault *fault);
int bench_server_run(const struct bench_server_options *options, struct fault *fault);

/* The addresses of a server; the caller frees them with freeaddrinfo(). NULL with the fault filled. */
struct addrinfo *bench_resolve(const char *host, const char *port, int family, struct fault *fault);
/* A connection to the first of them that answers, or -1 with the fault filled; host and port are for its text. */
int bench_connect(const struct addrinfo *list, const char *host, const char *port, struct fault *fault);
/* All of it, or -1 with errno; a stream that ends early is ECONNRESET. */
int bench_write_all(int fd, const void *bytes, size_t size);
int bench_read_all(int fd, void *bytes, size_t size);

/* What the kernel counted on a connection. */
struct bench_counted {
	uint32_t segments; /* data segments sent, retransmissions included */
	uint32_t retransmits;
};
void bench_count(int fd, struct bench_counted *counted);
void bench_no_delay(int fd);
/* A file descriptor per connection and a few more, if the hard limit allows. */
void bench_allow_files(uint32_t connections);

/* CPU time of this process so far. */
struct bench_cpu {
	uint64_t user_ns, system_ns;
};
void bench_cpu_used(struct bench_cpu *cpu);
