/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What autocork endpoint top shows: a row for each program with TCP of its own, from two readings. Pure. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is counted. X(id, name in JSON, title of its column) */
#define ENDPOINT_RATES(X) \
	X(ACCEPTED, "accepted", "NEW/s") \
	X(IN, "segments_in", "IN/s") \
	X(OUT, "segments_out", "OUT/s") \
	X(AGAIN, "retransmitted", "AGAIN/s") \
	X(DROPPED, NULL, "DROPS/s") \
	X(MOVED, "handed_over", "MOVED/s") \
	X(POLLS, "polls", "POLLS/s") \
	X(SLEEPS, "sleeps", "SLEEPS/s")
enum endpoint_rate {
#define X(id, name, title) ENDPOINT_##id,
	/* clang-format off */
	ENDPOINT_RATES(X)
#undef X
	ENDPOINT_RATE_COUNT
	/* clang-format on */
};

/* The columns by which rows are sorted, and the letters that choose them. */
enum endpoint_column {
	ENDPOINT_BY_PROGRAM,
	ENDPOINT_BY_OPEN,
	ENDPOINT_BY_IN,
	ENDPOINT_BY_OUT,
	ENDPOINT_BY_AGAIN,
	ENDPOINT_BY_DROPPED,
	ENDPOINT_BY_SLEEP,
	ENDPOINT_COLUMNS
};
extern const struct endpoint_column_text {
	char key;
	const char *title;
} endpoint_columns[ENDPOINT_COLUMNS];

struct endpoint_row {
	char program[64], interface[20];
	uint64_t pid, queue, open;
	uint64_t count[ENDPOINT_RATE_COUNT];
	double rate[ENDPOINT_RATE_COUNT];
};

struct endpoint_rows {
	struct endpoint_row *rows;
	size_t count;
	double time; /* CLOCK_MONOTONIC, seconds */
};

/* The frames and segments of an instance that were dropped, for every reason together. */
uint64_t endpoint_dropped(const json_t *instance);
/* Of its looks at the ring, those after which it slept, in percent: near 100 is a program that waits for work. */
double endpoint_sleep_share(const struct endpoint_row *row);
/* From the operation `endpoint`. Non-zero without memory. */
int endpoint_rows_read(struct endpoint_rows *rows, const json_t *instances);
void endpoint_rows_compare(struct endpoint_rows *now, const struct endpoint_rows *before);
void endpoint_rows_sort(struct endpoint_rows *rows, enum endpoint_column column, bool ascending);
/* The text is in its program, number or interface. */
bool endpoint_row_matches(const struct endpoint_row *row, const char *text);
void endpoint_rows_free(struct endpoint_rows *rows);
