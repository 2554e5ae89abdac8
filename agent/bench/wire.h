/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What the two sides of the benchmark say to each other, little-endian.
 *
 * The hello travels in the same write as the first bytes of the first message, and the report in the same write as the
 * last bytes of the last response, so that neither adds a burst of its own to the pattern that is being measured.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#define BENCH_MAGIC "acbench1"

enum bench_hello_flags {
	BENCH_HELLO_CHECK = 1,	  /* compare every byte with bench_fill()'s */
	BENCH_HELLO_ECHO = 2,	  /* the response is the message */
	BENCH_HELLO_NO_DELAY = 4, /* the server sets TCP_NODELAY */
	/* All that follows is read and answered once, after its end, with a bench_sink_report; message_size is the
	 * period of its bytes. */
	BENCH_HELLO_SINK = 8,
};

struct bench_hello {
	char magic[8];
	uint32_t flags;
	uint32_t message_size;
	uint32_t response_size;
	uint32_t response_writes;
	uint32_t messages; /* the report follows this many responses */
	uint32_t warmup;   /* the report counts from here */
};

struct bench_report {
	uint64_t cpu_ns;      /* of the server process, from the end of the warm-up */
	uint32_t segments;    /* data segments the server sent on this connection meanwhile */
	uint32_t wrong_bytes; /* with BENCH_HELLO_CHECK */
};

struct bench_sink_report {
	uint64_t cpu_ns;      /* of the server process, from the hello on */
	uint64_t bytes;	      /* received after the hello */
	uint64_t wrong_bytes; /* with BENCH_HELLO_CHECK */
};

_Static_assert(sizeof(struct bench_hello) == 32, "wire layout");
_Static_assert(sizeof(struct bench_report) == 16, "wire layout");
_Static_assert(sizeof(struct bench_sink_report) == 24, "wire layout");

/* The bytes both sides agree on: a function of the position in the stream that no small shift, loss or swap leaves
 * unchanged. */
static inline uint8_t bench_byte(uint64_t position)
{
	return (uint8_t)((position * 0x9e3779b97f4a7c15u) >> 56);
}

static inline void bench_fill(uint8_t *bytes, size_t size, uint64_t position)
{
	for (size_t i = 0; i < size; i++)
		bytes[i] = bench_byte(position + i);
}

static inline uint32_t bench_wrong(const uint8_t *bytes, size_t size, uint64_t position)
{
	uint32_t wrong = 0;

	for (size_t i = 0; i < size; i++)
		wrong += bytes[i] != bench_byte(position + i);
	return wrong;
}

/* The same for a stream that repeats its first `period` bytes. */
static inline uint32_t bench_wrong_periodic(const uint8_t *bytes, size_t size, uint64_t position, uint32_t period)
{
	uint32_t wrong = 0;

	while (size) {
		uint32_t begin = (uint32_t)(position % period);
		size_t n = size < period - begin ? size : period - begin;

		wrong += bench_wrong(bytes, n, begin);
		bytes += n;
		position += n;
		size -= n;
	}
	return wrong;
}
