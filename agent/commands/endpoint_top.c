/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "commands/endpoint_top.h"

#include <inttypes.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/client.h"
#include "lib/clock.h"
#include "lib/json.h"
#include "lib/table.h"
#include "lib/units.h"

struct top {
	struct cli *cli;
	enum endpoint_column sort;
	bool ascending;
	struct endpoint_rows now;
};

static const char *const names[ENDPOINT_RATE_COUNT] = {
#define X(id, name, title) [ENDPOINT_##id] = name,
	ENDPOINT_RATES(X)
#undef X
};

static int read_next(void *context, struct fault *fault)
{
	struct top *top = context;
	struct endpoint_rows before = top->now, next = { 0 };
	json_t *reply;
	int result;

	if (client_call(top->cli->control, json_pack("{ss}", "op", "endpoint"), &reply, fault))
		return -1;
	result = endpoint_rows_read(&next, json_object_get(reply, "instances"));
	json_decref(reply);
	if (result)
		return fault_set(fault, EXIT_FAILED, "endpoint top: out of memory");
	next.time = monotonic_seconds();
	endpoint_rows_compare(&next, &before);
	endpoint_rows_free(&before);
	top->now = next;
	endpoint_rows_sort(&top->now, top->sort, top->ascending);
	return 0;
}

/* ------------------------------------------------------------------ rows as text */

static void head(const void *context, char *text, size_t size)
{
	int used = snprintf(text, size, "%-15s %7s %-10s %5s %6s", "PROGRAM", "PID", "INTERFACE", "QUEUE", "OPEN");

#define X(id, name, title) \
	if (ENDPOINT_##id < ENDPOINT_POLLS) \
		used += snprintf(text + used, size - used, " %7s", title);
	ENDPOINT_RATES(X)
#undef X
	snprintf(text + used, size - used, " %5s", "SLEEP");
}

static enum live_colour show_row(const void *context, size_t at, char text[LIVE_LINE], char trend[LIVE_TREND])
{
	const struct top *top = context;
	const struct endpoint_row *row = &top->now.rows[at];
	struct units units;
	int used = snprintf(text, LIVE_LINE, "%-15.15s %7" PRIu64 " %-10.10s %5" PRIu64 " %6s", row->program, row->pid,
			    row->interface, row->queue, units_count(&units, row->open));

	for (int i = 0; i < ENDPOINT_POLLS; i++)
		used += snprintf(text + used, LIVE_LINE - used, " %7s", units_count(&units, row->rate[i]));
	snprintf(text + used, LIVE_LINE - used, " %4.0f%%", endpoint_sleep_share(row));
	return row->rate[ENDPOINT_DROPPED] > 0 ? LIVE_BAD : row->rate[ENDPOINT_IN] > 0 ? LIVE_GOOD : LIVE_PLAIN;
}

static json_t *row_json(const struct endpoint_row *row)
{
	json_t *json = json_pack("{sI ss ss sI sI sf sf}", "pid", (json_int_t)row->pid, "program", row->program,
				 "interface", row->interface, "queue", (json_int_t)row->queue, "connections",
				 (json_int_t)row->open, "dropped_per_second", row->rate[ENDPOINT_DROPPED],
				 "sleep_percent", endpoint_sleep_share(row));
	char name[40];

	for (int i = 0; i < ENDPOINT_RATE_COUNT; i++) {
		if (!names[i])
			continue;
		snprintf(name, sizeof(name), "%s_per_second", names[i]);
		json_object_set_new(json, name, json_real(row->rate[i]));
	}
	return json;
}

/* ------------------------------------------------------------------ the screen */

static size_t count_rows(const void *context)
{
	return ((const struct top *)context)->now.count;
}

static bool row_matches(const void *context, size_t row, const char *filter)
{
	return endpoint_row_matches(&((const struct top *)context)->now.rows[row], filter);
}

static const char *screen_name(const void *context)
{
	return "programs with TCP of their own";
}

static void summary(const void *context, char *text, size_t size)
{
	const struct top *top = context;
	struct units open, in, out;
	double sums[ENDPOINT_RATE_COUNT] = { 0 };
	uint64_t connections = 0;

	for (size_t i = 0; i < top->now.count; i++) {
		connections += top->now.rows[i].open;
		for (int k = 0; k < ENDPOINT_RATE_COUNT; k++)
			sums[k] += top->now.rows[i].rate[k];
	}
	snprintf(text, size, "%zu programs, %s connections, %s segments/s in, %s out; by %s%s", top->now.count,
		 units_count(&open, connections), units_count(&in, sums[ENDPOINT_IN]),
		 units_count(&out, sums[ENDPOINT_OUT]), endpoint_columns[top->sort].title,
		 top->ascending ? ", reversed" : "");
}

static bool handle_key(void *context, int key)
{
	struct top *top = context;

	if (key == 'R')
		top->ascending = !top->ascending;
	for (int i = 0; i < ENDPOINT_COLUMNS; i++)
		if (key == endpoint_columns[i].key)
			top->sort = i;
	endpoint_rows_sort(&top->now, top->sort, top->ascending);
	return false;
}

static const char *const own_keys[] = {
	"n o i t g d s sort by program, open, in, out, again, drops, sleep",
	"R             reverse the order",
	NULL,
};

static const char *const words[] = {
	"NEW: connections accepted. IN, OUT: TCP segments. AGAIN: segments sent again.",
	"DROPS: frames and segments dropped, and connections not taken.",
	"MOVED: connections handed over to the kernel, alive.",
	"SLEEP: of the looks at the ring, those after which the program slept.",
	NULL,
};

static const struct live_view view = {
	.title = "autocork endpoint top",
	.keys = "q quit  h help  n o i t g d s sort  R reverse  / filter  SPACE pause",
	.own_keys = own_keys,
	.words = words,
	.nothing = "No program serves its connections itself.",
	.read = read_next,
	.count = count_rows,
	.matches = row_matches,
	.name = screen_name,
	.summary = summary,
	.head = head,
	.row = show_row,
	.key = handle_key,
};

static int print_once(struct top *top, const struct endpoint_top *options, struct fault *fault)
{
	char line[LIVE_LINE], trend[LIVE_TREND];

	nanosleep(&(struct timespec){ (time_t)options->delay_s, (options->delay_s - (time_t)options->delay_s) * 1e9 },
		  NULL);
	if (read_next(top, fault))
		return -1;
	if (!top->cli->json) {
		head(top, line, sizeof(line));
		printf("%s%s%s\n", table_paint(TABLE_BOLD, top->cli->colour), line,
		       top->cli->colour ? table_paint(TABLE_PLAIN, true) : "");
	}
	for (size_t i = 0; i < top->now.count; i++) {
		if (!endpoint_row_matches(&top->now.rows[i], options->filter))
			continue;
		if (top->cli->json) {
			json_print(stdout, row_json(&top->now.rows[i]));
			continue;
		}
		show_row(top, i, line, trend);
		puts(line);
	}
	return 0;
}

int endpoint_top(struct cli *cli, const struct endpoint_top *options, struct fault *fault)
{
	struct top top = { .cli = cli, .sort = options->sort };
	char filter[LIVE_FILTER];
	int result = read_next(&top, fault);

	setlocale(LC_CTYPE, "");
	strcpy(filter, options->filter);
	/* Where nothing can be drawn, one screen is what can be given. */
	if (!result && (options->once || cli->json || !cli->terminal))
		result = print_once(&top, options, fault);
	else if (!result)
		result = live_run(&view, &top, options->delay_s, cli->colour, filter, fault);
	endpoint_rows_free(&top.now);
	return result;
}
