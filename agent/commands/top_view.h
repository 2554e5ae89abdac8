/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What autocork top shows: rows from two readings, sorted and filtered. Pure. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TOP_TREND 16 /* readings that a sparkline shows */

enum top_screen { TOP_SERVICES, TOP_FLOWS };

/* Columns by which rows are sorted; the letters that choose them are theirs in top_columns[]. */
enum top_column {
	TOP_PORT,
	TOP_PROGRAM,
	TOP_OPEN,
	TOP_WRITES,
	TOP_TIME,
	TOP_SAVED,
	TOP_SHARE,
	TOP_MISSES,
	TOP_COLUMNS
};
extern const struct top_column_text {
	char key;
	const char *title;
	const char *flow_title; /* on the flows screen */
} top_columns[TOP_COLUMNS];

struct top_row {
	uint64_t id; /* flow: cookie; service: hash of what names it */
	uint16_t port;
	char side[8];
	char program[64];
	char peer[56];				 /* flow: the remote end */
	uint64_t open;				 /* service: flows open; flow: its age in seconds */
	uint64_t writes, held, misses, inferred; /* counters; bursts inferred from a sample */
	uint64_t saved_wait_us; /* waiting for ACKs that was spared; of a flow its share of the service's */
	double writes_per_s, saved_per_s, misses_per_s, saved_wait_us_per_s;
	float trend[TOP_TREND]; /* saved per second, oldest first */
	bool flow;
	bool managed;
	bool sampled; /* the rate of writes rests on a sample */
};

struct top_table {
	struct top_row *rows;
	size_t count, room;
	double time; /* CLOCK_MONOTONIC, seconds */
};

/* Adds a row from an item of the "services" or "flows" operation. Non-zero without memory. */
int top_add(struct top_table *table, enum top_screen screen, const json_t *item);
/* Rates and trends from the reading before (may be empty). */
void top_compare(struct top_table *now, const struct top_table *before);
void top_sort(struct top_table *table, enum top_column column, bool ascending);
/* Whether a row is to be shown: the text is in its port, side, program or peer. */
bool top_matches(const struct top_row *row, const char *text);
/* The trend as block characters (or ASCII), scaled to its own maximum; text needs TOP_TREND * 3 + 1 bytes. */
void top_sparkline(const struct top_row *row, bool ascii, char *text);
void top_free(struct top_table *table);
