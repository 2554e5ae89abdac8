/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "commands/endpoint_view.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/text.h"

const struct endpoint_column_text endpoint_columns[ENDPOINT_COLUMNS] = {
	[ENDPOINT_BY_PROGRAM] = { 'n', "PROGRAM" }, [ENDPOINT_BY_OPEN] = { 'o', "OPEN" },
	[ENDPOINT_BY_IN] = { 'i', "IN/s" },	    [ENDPOINT_BY_OUT] = { 't', "OUT/s" },
	[ENDPOINT_BY_AGAIN] = { 'g', "AGAIN/s" },   [ENDPOINT_BY_DROPPED] = { 'd', "DROPS/s" },
	[ENDPOINT_BY_SLEEP] = { 's', "SLEEP" },
};

static const char *const names[ENDPOINT_RATE_COUNT] = {
#define X(id, name, title) name,
	ENDPOINT_RATES(X)
#undef X
};

uint64_t endpoint_dropped(const json_t *instance)
{
	static const char *const drops[] = { "bad_frame",  "bad_checksum", "no_memory",	  "limit_hit",
					     "rx_dropped", "tx_full",	   "no_neighbour" };
	uint64_t sum = 0;

	for (size_t i = 0; i < sizeof(drops) / sizeof(drops[0]); i++)
		sum += json_number(instance, drops[i]);
	return sum;
}

double endpoint_sleep_share(const struct endpoint_row *row)
{
	double polls = row->rate[ENDPOINT_POLLS];

	return polls > 0 ? 100 * row->rate[ENDPOINT_SLEEPS] / polls : 0;
}

int endpoint_rows_read(struct endpoint_rows *rows, const json_t *instances)
{
	json_t *item;
	size_t i;

	rows->count = 0;
	rows->rows = calloc(json_array_size(instances) + 1, sizeof(*rows->rows));
	if (!rows->rows)
		return -1;
	json_array_foreach((json_t *)instances, i, item) {
		struct endpoint_row *row = &rows->rows[rows->count++];
		const char *program = json_member_text(item, "program");
		const char *interface = json_member_text(item, "interface");

		text_clean(row->program, sizeof(row->program), program, strlen(program));
		text_clean(row->interface, sizeof(row->interface), interface, strlen(interface));
		row->queue = json_number(item, "queue");
		row->pid = json_number(item, "pid");
		row->open = json_number(item, "connections");
		for (int k = 0; k < ENDPOINT_RATE_COUNT; k++)
			row->count[k] = names[k] ? json_number(item, names[k]) : 0;
		row->count[ENDPOINT_DROPPED] = endpoint_dropped(item);
	}
	return 0;
}

/* A process has a queue for each of its stacks. */
static const struct endpoint_row *same(const struct endpoint_rows *rows, const struct endpoint_row *row)
{
	for (size_t i = 0; i < rows->count; i++)
		if (rows->rows[i].pid == row->pid && rows->rows[i].queue == row->queue &&
		    !strcmp(rows->rows[i].interface, row->interface))
			return &rows->rows[i];
	return NULL;
}

void endpoint_rows_compare(struct endpoint_rows *now, const struct endpoint_rows *before)
{
	double seconds = now->time - before->time;

	for (size_t i = 0; i < now->count; i++) {
		struct endpoint_row *row = &now->rows[i];
		const struct endpoint_row *then = same(before, row);

		for (int k = 0; then && seconds > 0 && k < ENDPOINT_RATE_COUNT; k++)
			if (row->count[k] >= then->count[k])
				row->rate[k] = (row->count[k] - then->count[k]) / seconds;
	}
}

struct order {
	enum endpoint_column column;
	bool ascending;
};

static double value_of(const struct endpoint_row *row, enum endpoint_column column)
{
	switch (column) {
	case ENDPOINT_BY_OPEN:
		return row->open;
	case ENDPOINT_BY_IN:
		return row->rate[ENDPOINT_IN];
	case ENDPOINT_BY_OUT:
		return row->rate[ENDPOINT_OUT];
	case ENDPOINT_BY_AGAIN:
		return row->rate[ENDPOINT_AGAIN];
	case ENDPOINT_BY_DROPPED:
		return row->rate[ENDPOINT_DROPPED];
	case ENDPOINT_BY_SLEEP:
		return endpoint_sleep_share(row);
	default:
		return 0;
	}
}

static int by_order(const void *x, const void *y, void *context)
{
	const struct order *order = context;
	const struct endpoint_row *a = x, *b = y;
	double left = value_of(a, order->column), right = value_of(b, order->column);
	/* Names from a to z, numbers from the largest, unless reversed. */
	int result = order->column == ENDPOINT_BY_PROGRAM ? -strcmp(a->program, b->program) :
							    (left > right) - (left < right);

	if (!result) /* equal rows must not dance about */
		return (a->pid > b->pid) - (a->pid < b->pid) ?: (a->queue > b->queue) - (a->queue < b->queue);
	return order->ascending ? result : -result;
}

void endpoint_rows_sort(struct endpoint_rows *rows, enum endpoint_column column, bool ascending)
{
	struct order order = { column, ascending };

	if (rows->count)
		qsort_r(rows->rows, rows->count, sizeof(*rows->rows), by_order, &order);
}

bool endpoint_row_matches(const struct endpoint_row *row, const char *text)
{
	char pid[24];

	snprintf(pid, sizeof(pid), "%" PRIu64, row->pid);
	return !*text || strcasestr(row->program, text) || strstr(row->interface, text) || strstr(pid, text);
}

void endpoint_rows_free(struct endpoint_rows *rows)
{
	free(rows->rows);
	*rows = (struct endpoint_rows){ 0 };
}
