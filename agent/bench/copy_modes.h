/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The ways to send: what each needs, and one call of each. */
#pragma once
#include <sys/types.h>

#include "bench/copy.h"
#include "lib/fault.h"

/* The same BENCH_COPY_SOURCE bytes three times: page-aligned in memory, one byte behind a page, in a file in memory. */
struct bench_copy_source {
	uint8_t *aligned, *unaligned;
	uint8_t *bounce; /* BENCH_COPY_SIZE_MAX bytes, page-aligned */
	int file, pipe[2];
};

/* A zeroed source with file and pipe at -1 may be closed, too. */
int bench_copy_open(struct bench_copy_source *source, uint32_t size, struct fault *fault);
void bench_copy_close(struct bench_copy_source *source);

/* Sends at most n bytes from `offset` of the source: how many, or -1 with errno, like send(). */
ssize_t bench_copy_send(const struct bench_copy_source *source, enum bench_copy_mode mode, int fd, size_t offset,
			size_t n);
/* Takes the completions of zero-copy calls that are there. */
void bench_copy_completions(int fd, struct bench_copy_sample *sample);
