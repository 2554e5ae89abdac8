/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* autocork responses: what programs do for each response, by pattern, and what of it is waste. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/client.h"
#include "cli/fold.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "commands/commands.h"
#include "commands/response_table.h"
#include "lib/clock.h"
#include "lib/json.h"
#include "lib/table.h"
#include "lib/units.h"

#define FOR_DEFAULT_S 10

struct watch {
	const struct cli *cli;
	json_t *request;
	double seconds;
	struct response_table *table;
};

#define OUT_OF_MEMORY 1 /* of the visitor */

static const struct cli_option options[] = {
	CLI_FOR(0.1, "Watch for TIME (30s, 2m); 10s without it", CLI_AT(struct watch, seconds)),
	CLI_FLOW_PORT(CLI_IN(struct watch, request, "port")),
	{ 0 },
};

static const struct cli_syntax syntax = {
	.options = options,
	.doc = "Watches for a while, then lists per service how programs made their responses, the most frequent "
	       "pattern first, and names what was waste. A response is what a program writes between two reads; on a "
	       "client's side that is a request.\n"
	       "\n"
	       "Examples:\n"
	       "  autocork responses --port 80\n"
	       "  autocork responses --for 1m\n"
	       "  autocork responses --json | jq '.patterns[] | select(.waste != [])'\n"
	       "\v"
	       "RESPONSES is how many had this pattern: so many WRITES and OPTIONS (setsockopt calls for TCP_NODELAY "
	       "and TCP_CORK) each. SEGMENTS are data segments, without those sent again; NEEDED is the mean that the "
	       "bytes need. Three numbers are the least, the mean and the most.",
};

/* What matters most comes first: a narrow terminal cuts the right end. */
static const struct table_column columns[] = {
	{ "PORT", TABLE_RIGHT },   { "WASTE", TABLE_LEFT },	{ "RESPONSES", TABLE_RIGHT },
	{ "PROGRAM", TABLE_LEFT }, { "SEGMENTS", TABLE_RIGHT }, { "NEEDED", TABLE_RIGHT },
	{ "WRITES", TABLE_RIGHT }, { "OPTIONS", TABLE_RIGHT },	{ "BYTES", TABLE_RIGHT },
	{ "SIDE", TABLE_LEFT },
};

static int visit(json_t *item, void *context)
{
	struct watch *watch = context;
	struct response_row row;

	/* The first one says that it has begun. */
	if (json_object_get(item, "watching"))
		return 0;
	response_read(item, &row);
	return response_table_add(watch->table, &row) ? 0 : OUT_OF_MEMORY;
}

static void range_cell(struct table *table, const struct ac_response_range *range, uint64_t count)
{
	if (range->min == range->max)
		table_cell(table, TABLE_PLAIN, "%llu", range->min);
	else
		table_cell(table, TABLE_PLAIN, "%llu/%.1f/%llu", range->min, (double)range->total / count, range->max);
}

static void waste_cell(struct table *table, const struct response_pattern *pattern)
{
	char text[256] = "";
	size_t used = 0;

	for (size_t i = 0; i < AC_WASTE_MAX && used < sizeof(text); i++)
		if (pattern->sum.waste[i].responses)
			used += snprintf(text + used, sizeof(text) - used, "%s%s %.0f%%", used ? ", " : "",
					 response_waste_texts[i].name,
					 100.0 * pattern->sum.waste[i].responses / pattern->sum.count);
	table_cell(table, TABLE_WARN, "%s", text);
}

static void add_row(struct table *table, const struct response_pattern *pattern)
{
	uint64_t options = pattern->sum.nodelay_calls + pattern->sum.cork_calls;
	struct units units;

	if (pattern->other)
		table_cell(table, TABLE_DIM, "other");
	else
		table_cell(table, TABLE_PLAIN, "%u", pattern->service.port);
	waste_cell(table, pattern);
	table_cell(table, TABLE_PLAIN, "%s", units_count(&units, pattern->sum.count));
	table_cell(table, TABLE_PLAIN, "%s", pattern->service.program);
	range_cell(table, &pattern->sum.segments, pattern->sum.count);
	table_cell(table, TABLE_PLAIN, "%.4g", (double)pattern->sum.needed / pattern->sum.count);
	range_cell(table, &pattern->sum.writes, pattern->sum.count);
	table_cell(table, TABLE_PLAIN, "%.4g", (double)options / pattern->sum.count);
	range_cell(table, &pattern->sum.bytes, pattern->sum.count);
	table_cell(table, TABLE_PLAIN, "%s", pattern->service.side);
}

static void print_wastes(const struct ac_response_sum *sum)
{
	for (size_t i = 0; i < AC_WASTE_MAX; i++) {
		const struct response_waste_text *text = &response_waste_texts[i];

		if (!sum->waste[i].responses)
			continue;
		printf("\n%s: in %llu of %llu responses, %llu %s in all: %s.\n", text->name, sum->waste[i].responses,
		       sum->count, sum->waste[i].amount, text->unit, text->text);
		printf("  %s.\n", text->advice);
	}
}

static void print_text(const struct watch *watch)
{
	struct ac_response_sum sum = response_table_sum(watch->table);
	struct table *table;

	if (!sum.count) {
		printf("No response ended within %.3g seconds.\n", watch->seconds);
		return;
	}
	table = table_new(columns, sizeof(columns) / sizeof(columns[0]));
	for (size_t i = 0; i < response_table_count(watch->table); i++)
		add_row(table, response_table_at(watch->table, i));
	table_print(table, stdout, watch->cli->colour, watch->cli->width);
	table_free(table);
	print_wastes(&sum);
}

static void print_json(const struct watch *watch)
{
	struct ac_response_sum sum = response_table_sum(watch->table);
	json_t *patterns = json_array();

	for (size_t i = 0; i < response_table_count(watch->table); i++)
		json_array_append_new(patterns, response_pattern_json(response_table_at(watch->table, i)));
	json_print(stdout, json_pack("{sf sI so}", "seconds", watch->seconds, "responses", (json_int_t)sum.count,
				     "patterns", patterns));
}

int command_responses(struct cli *cli, int argc, char **argv)
{
	struct watch watch = { .cli = cli, .seconds = FOR_DEFAULT_S, .table = response_table_new() };
	struct fault fault;
	double start, elapsed;
	int result;

	watch.request = json_pack("{ss}", "op", "responses");
	cli_parse(cli, &syntax, argc, argv, &watch);
	fold_stdout(cli);
	if (cli->terminal && !cli->json)
		fprintf(stderr, "Watching %g s; Ctrl-C ends it early …\n", watch.seconds);
	start = monotonic_seconds();
	result = watch.table ? client_watch(cli->control, watch.request, watch.seconds, visit, &watch, &fault) :
			       OUT_OF_MEMORY;
	if (result == OUT_OF_MEMORY)
		result = fault_set(&fault, EXIT_FAILED, "responses: out of memory: watch one --port");
	elapsed = monotonic_seconds() - start;
	/* Ctrl-C: what was seen until then. */
	if (elapsed < watch.seconds)
		watch.seconds = elapsed;
	if (!result) {
		response_table_sort(watch.table);
		if (cli->json)
			print_json(&watch);
		else
			print_text(&watch);
	}
	response_table_free(watch.table);
	interrupt_finish();
	return result ? cli_fail(cli, &fault) : EXIT_OK;
}
