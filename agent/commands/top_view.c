/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "commands/top_view.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/array.h"
#include "lib/json.h"
#include "lib/text.h"

const struct top_column_text top_columns[TOP_COLUMNS] = {
	[TOP_PORT] = { 'p', "PORT", "PORT" },	  [TOP_PROGRAM] = { 'n', "PROGRAM", "PROGRAM" },
	[TOP_OPEN] = { 'o', "FLOWS", "AGE" },	  [TOP_WRITES] = { 'w', "WRITES/s", "WRITES/s" },
	[TOP_TIME] = { 't', "TIME/s", "TIME/s" }, [TOP_SAVED] = { 's', "SAVED/s", "SAVED/s" },
	[TOP_SHARE] = { 'r', "ALL", "ALL" },	  [TOP_MISSES] = { 'm', "LONG", "LONG" },
};

static uint64_t hash(const char *text)
{
	uint64_t sum = 0xcbf29ce484222325ull; /* FNV-1a */

	for (; *text; text++)
		sum = (sum ^ (unsigned char)*text) * 0x100000001b3ull;
	return sum;
}

static void read_flow(struct top_row *row, const json_t *item)
{
	const char *side = json_member_text(item, "side"), *remote = json_member_text(item, "remote");
	bool server = strcmp(side, "client"), bare = !strchr(remote, ':');

	row->id = json_number(item, "cookie");
	row->port = json_number(item, server ? "local_port" : "remote_port");
	snprintf(row->peer, sizeof(row->peer), "%s%.45s%s:%" PRIdMAX, bare ? "" : "[", remote, bare ? "" : "]",
		 (intmax_t)json_number(item, "remote_port"));
	row->open = json_number(item, "age_us") / 1000000;
	row->managed = *json_member_text(item, "wrapper");
}

static void read_service(struct top_row *row, const json_t *item)
{
	char name[160];

	row->port = json_number(item, "port");
	row->open = json_number(item, "flows");
	row->managed = json_number(item, "managed") > 0;
	snprintf(name, sizeof(name), "%u %.7s %.63s %" PRIdMAX, row->port, json_member_text(item, "side"), row->program,
		 (intmax_t)json_number(item, "cgroup"));
	row->id = hash(name);
}

int top_add(struct top_table *table, enum top_screen screen, const json_t *item)
{
	const char *program = json_member_text(item, "program"), *side = json_member_text(item, "side");
	struct top_row *row;

	if (!array_room(&table->rows, table->count, &table->room, sizeof(*table->rows)))
		return -1;
	row = &table->rows[table->count++];
	memset(row, 0, sizeof(*row));
	text_clean(row->program, sizeof(row->program), program, strlen(program));
	text_clean(row->side, sizeof(row->side), side, strlen(side));
	row->writes = json_number(item, "writes");
	row->held = json_number(item, "held");
	row->misses = json_number(item, "misses");
	row->inferred = json_number(item, "inferred_bursts");
	row->saved_wait_us = json_number(item, "saved_wait_us");
	row->flow = screen == TOP_FLOWS;
	if (screen == TOP_FLOWS)
		read_flow(row, item);
	else
		read_service(row, item);
	return 0;
}

static int by_id(const void *x, const void *y)
{
	const struct top_row *a = x, *b = y;

	return (a->id > b->id) - (a->id < b->id);
}

static double rate(uint64_t now, uint64_t before, double seconds)
{
	return now >= before && seconds > 0 ? (now - before) / seconds : 0;
}

/* A flow's share changes with what the service's other flows do: its own packets say what it saved meanwhile. */
static double wait_rate(const struct top_row *row, const struct top_row *then, double seconds)
{
	if (!row->flow)
		return rate(row->saved_wait_us, then->saved_wait_us, seconds);
	return row->held ? row->saved_per_s * row->saved_wait_us / row->held : 0;
}

void top_compare(struct top_table *now, const struct top_table *before)
{
	double seconds = now->time - before->time;
	struct top_row *old = malloc((before->count + 1) * sizeof(*old));

	if (!old)
		return;
	if (before->count)
		memcpy(old, before->rows, before->count * sizeof(*old));
	qsort(old, before->count, sizeof(*old), by_id);
	for (size_t i = 0; i < now->count; i++) {
		struct top_row *row = &now->rows[i], *then = bsearch(row, old, before->count, sizeof(*old), by_id);

		if (!then)
			continue;
		row->sampled = row->inferred > then->inferred;
		row->writes_per_s = rate(row->writes, then->writes, seconds);
		row->saved_per_s = rate(row->held, then->held, seconds);
		row->misses_per_s = rate(row->misses, then->misses, seconds);
		row->saved_wait_us_per_s = wait_rate(row, then, seconds);
		memmove(row->trend, then->trend + 1, sizeof(row->trend) - sizeof(row->trend[0]));
		row->trend[TOP_TREND - 1] = row->saved_per_s;
	}
	free(old);
}

struct order {
	enum top_column column;
	bool ascending;
};

static double value_of(const struct top_row *row, enum top_column column)
{
	switch (column) {
	case TOP_PORT:
		return row->port;
	case TOP_OPEN:
		return row->open;
	case TOP_WRITES:
		return row->writes_per_s;
	case TOP_TIME:
		return row->saved_wait_us_per_s;
	case TOP_SAVED:
		return row->saved_per_s;
	case TOP_SHARE:
		return row->writes ? (double)row->held / row->writes : 0;
	case TOP_MISSES:
		return row->misses;
	default:
		return 0;
	}
}

static int by_order(const void *x, const void *y, void *context)
{
	const struct order *order = context;
	const struct top_row *a = x, *b = y;
	double left = value_of(a, order->column), right = value_of(b, order->column);
	int result = (left > right) - (left < right);

	if (order->column == TOP_PROGRAM)
		result = -strcmp(a->program,
				 b->program); /* names from a to z, numbers from the largest, unless reversed */
	if (!result)			      /* equal rows must not dance about */
		return (a->writes < b->writes) - (a->writes > b->writes) ?: by_id(a, b);
	return order->ascending ? result : -result;
}

void top_sort(struct top_table *table, enum top_column column, bool ascending)
{
	struct order order = { column, ascending };

	qsort_r(table->rows, table->count, sizeof(*table->rows), by_order, &order);
}

bool top_matches(const struct top_row *row, const char *text)
{
	char port[8];

	snprintf(port, sizeof(port), "%u", row->port);
	return !*text || strstr(port, text) || strstr(row->side, text) || strcasestr(row->program, text) ||
	       strstr(row->peer, text);
}

void top_sparkline(const struct top_row *row, bool ascii, char *text)
{
	static const char *const blocks[] = { " ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };
	static const char *const letters[] = { " ", ".", ".", ":", ":", "-", "=", "#", "#" };
	float most = 0;

	*text = '\0';
	for (int i = 0; i < TOP_TREND; i++)
		most = row->trend[i] > most ? row->trend[i] : most;
	for (int i = 0; i < TOP_TREND; i++) {
		int level = most > 0 ? (int)(row->trend[i] / most * 8 + 0.5f) : 0;

		/* Something is never shown as nothing. */
		if (row->trend[i] > 0 && !level)
			level = 1;
		text = stpcpy(text, (ascii ? letters : blocks)[level]);
	}
}

void top_free(struct top_table *table)
{
	free(table->rows);
	*table = (struct top_table){ 0 };
}
