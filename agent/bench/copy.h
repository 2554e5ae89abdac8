/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* `autocork bench copy`: what the ways to send the same stream cost in CPU at the same rate. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/cli.h"

/* Every mode sends the same bytes again and again, from memory or from a file in memory: more than a cache of the first
 * levels holds, and a multiple of the page. */
#define BENCH_COPY_SOURCE (8u << 20)
#define BENCH_COPY_SIZE_MAX (1u << 20) /* bytes of a call; the largest pipe an unprivileged user may have */
#define BENCH_COPY_ROUNDS_MAX 99u

enum bench_copy_mode {
	BENCH_COPY_SEND,
	BENCH_COPY_UNALIGNED,
	BENCH_COPY_READ,
	BENCH_COPY_ZEROCOPY,
	BENCH_COPY_SENDFILE,
	BENCH_COPY_SPLICE,
	BENCH_COPY_MODES,
};

struct bench_copy_options {
	const char *host, *port; /* host NULL: a sink of its own on loopback */
	int family;
	uint32_t rate_mbit; /* of payload, 10^6 bits per second */
	double seconds;	    /* per mode and round */
	uint32_t size, rounds;
	uint32_t modes; /* bit per enum bench_copy_mode */
	bool check, json;
};

/* One mode in one round. */
struct bench_copy_sample {
	uint64_t elapsed_ns, user_ns, system_ns, server_cpu_ns;
	uint64_t bytes, calls, segments, wrong_bytes;
	uint64_t zerocopy_done, zerocopy_copied; /* calls whose completion came; of them copied by the kernel
						  * after all */
};

/* Name and explanation of a mode, from agent/bench/copy_modes.c's table. */
const char *bench_copy_name(enum bench_copy_mode mode);
const char *bench_copy_what(enum bench_copy_mode mode);
/* "send,splice" as bits; 0 if a name is unknown or none is there. */
uint32_t bench_copy_modes(const char *list);

/* Nanoseconds of the sender's CPU per byte sent; 0 where nothing was sent. */
double bench_copy_cost(const struct bench_copy_sample *sample);
/* The sample whose cost is the median (of an even number the lower one); sorts them. count > 0. */
const struct bench_copy_sample *bench_copy_median(struct bench_copy_sample *samples, uint32_t count);
/* Megabits per second that were reached. */
double bench_copy_rate(const struct bench_copy_sample *sample);
/* Whether a sample's throughput is that of the others: within 3% of what was asked for. */
bool bench_copy_kept_up(const struct bench_copy_sample *sample, uint32_t rate_mbit);

/* medians[mode] is NULL for a mode that was not asked for. False if stdout fails. */
bool bench_copy_print(const struct bench_copy_options *options, const struct bench_copy_sample *const *medians);

/* Fills the options; prints and exits with EXIT_USAGE on a bad one. */
void bench_copy_parse(struct bench_copy_options *options, struct cli *cli, int argc, char **argv);
/* 0, or -1 with the fault filled. */
int bench_copy_run(const struct bench_copy_options *options, struct fault *fault);
