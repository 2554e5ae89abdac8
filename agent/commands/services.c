/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "commands/services.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/client.h"
#include "cli/fold.h"
#include "cli/options.h"
#include "commands/commands.h"
#include "lib/json.h"
#include "lib/table.h"
#include "lib/units.h"

#define NO_FLOW "No TCP flow has been seen yet."
#define MISSES_BAD 0.001 /* share of bursts above which misses are worth a colour */

/* What matters most comes first: a narrow terminal cuts the right end. */
static const struct table_column columns[] = {
	{ "TIME SAVED", TABLE_RIGHT }, { "PACKETS", TABLE_RIGHT },    { "PORT", TABLE_RIGHT },
	{ "PROGRAM", TABLE_LEFT },     { "NOT MANAGED", TABLE_LEFT }, { "SIDE", TABLE_LEFT },
	{ "FLOWS", TABLE_RIGHT },      { "MANAGED", TABLE_RIGHT },    { "MESSAGES", TABLE_RIGHT },
	{ "WRITES", TABLE_RIGHT },     { "TOO LONG", TABLE_RIGHT },   { "ADDED DELAY", TABLE_RIGHT },
};

struct named {
	const char *name;
	json_int_t count;
};

static int by_count(const void *a, const void *b)
{
	const struct named *x = a, *y = b;

	return (x->count < y->count) - (x->count > y->count);
}

/* "no_gain 12, mptcp 1": the members of an object of counters that are not 0, biggest first; "" if all are. */
static void counters_text(const json_t *counters, char *text, size_t size)
{
	struct named list[32];
	size_t count = 0, used = 0;
	const char *name;
	const json_t *value;

	json_object_foreach((json_t *)counters, name, value) {
		if (json_integer_value(value) > 0 && count < sizeof(list) / sizeof(list[0]))
			list[count++] = (struct named){ name, json_integer_value(value) };
	}
	qsort(list, count, sizeof(list[0]), by_count);
	*text = 0;
	for (size_t i = 0; i < count && used < size; i++)
		used += snprintf(text + used, size - used, "%s%s %" PRIdMAX, i ? ", " : "", list[i].name,
				 (intmax_t)list[i].count);
}

static int by_writes(const void *a, const void *b)
{
	const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
	json_int_t left = json_number(x, "writes"), right = json_number(y, "writes");

	return (left < right) - (left > right);
}

/* A figure that is inferred from a sample, in part at least, says so. */
static void add_sampled(struct table *table, const json_t *service, const char *name)
{
	struct units units;

	table_cell(table, TABLE_PLAIN, "%s%s", json_number(service, "inferred_bursts") ? "≈" : "",
		   units_count(&units, json_number(service, name)));
}

void services_saved_time(struct table *table, json_int_t us)
{
	struct units units;

	if (us)
		table_cell(table, TABLE_GOOD, "≈%s", units_time(&units, us));
	else
		table_cell(table, TABLE_GOOD, "%s", "");
}

static void add_row(struct table *table, const json_t *service)
{
	json_int_t port = json_number(service, "port"), bursts = json_number(service, "bursts");
	json_int_t misses = json_number(service, "misses");
	const json_t *delay = json_object_get(service, "mean_hold_us");
	struct units units;
	char reasons[256];

	services_saved_time(table, json_number(service, "saved_wait_us"));
	table_cell(table, TABLE_GOOD, "%s", units_count(&units, json_number(service, "held")));
	/* Number 0 takes the flows of all services for which there was no number left; port 0 a program's further
	 * ports. */
	if (json_number(service, "number") && port)
		table_cell(table, TABLE_PLAIN, "%" PRIdMAX, (intmax_t)port);
	else if (json_number(service, "number"))
		table_cell(table, TABLE_PLAIN, "more");
	else
		table_cell(table, TABLE_DIM, "other");
	table_cell(table, TABLE_PLAIN, "%s", json_member_text(service, "program"));
	counters_text(json_object_get(service, "refused"), reasons, sizeof(reasons));
	table_cell(table, TABLE_DIM, "%s", reasons);
	table_cell(table, TABLE_PLAIN, "%s", json_member_text(service, "side"));
	table_cell(table, TABLE_PLAIN, "%s", units_count(&units, json_number(service, "flows")));
	table_cell(table, TABLE_PLAIN, "%s", units_count(&units, json_number(service, "managed")));
	add_sampled(table, service, "bursts");
	add_sampled(table, service, "writes");
	table_cell(table, misses > bursts * MISSES_BAD ? TABLE_BAD : TABLE_PLAIN, "%s", units_count(&units, misses));
	table_cell(table, TABLE_PLAIN, "%s",
		   json_is_number(delay) ? units_delay(&units, json_number_value(delay)) : "");
}

json_t *services_fields(void)
{
	static const char *const names[] = {
		"number",	 "port",    "side",   "program",	 "flows",  "managed", "held",
		"saved_wait_us", "refused", "bursts", "inferred_bursts", "writes", "misses",  "mean_hold_us",
	};
	json_t *fields = json_array();

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		json_array_append_new(fields, json_string(names[i]));
	return fields;
}

void services_print(FILE *out, const struct cli *cli, const json_t *services)
{
	struct table *table = table_new(columns, sizeof(columns) / sizeof(columns[0]));
	size_t count = json_array_size(services), i;
	json_t *sorted[count ?: 1];

	for (i = 0; i < count; i++)
		sorted[i] = json_array_get(services, i);
	qsort(sorted, count, sizeof(sorted[0]), by_writes);
	for (i = 0; i < count; i++)
		add_row(table, sorted[i]);
	if (count)
		table_print(table, out, cli->colour, cli->width);
	else
		fprintf(out, "%s\n", NO_FLOW);
	table_free(table);
}

static const struct cli_syntax syntax = {
	.doc = "Prints every counter of every service: a service is a port, a side, a program and a cgroup.\n"
	       "\n"
	       "Examples:\n"
	       "  autocork services\n"
	       "  autocork services --json | jq 'select(.port == 80).released'\n",
};

static void print_counters(const json_t *service)
{
	const char *name;
	const json_t *value;
	char text[512];

	printf("port %" PRIdMAX ", %s, %s\n", (intmax_t)json_number(service, "port"), json_member_text(service, "side"),
	       json_member_text(service, "program"));
	json_object_foreach((json_t *)service, name, value) {
		if (json_is_object(value)) {
			counters_text(value, text, sizeof(text));
			printf("  %-18s %s\n", name, *text ? text : "-");
		} else if (json_is_integer(value)) {
			printf("  %-18s %" PRIdMAX "\n", name, (intmax_t)json_integer_value(value));
		}
	}
}

struct printing {
	const struct cli *cli;
	size_t count;
};

static int print_service(json_t *service, void *context)
{
	struct printing *printing = context;

	printing->count++;
	if (printing->cli->json)
		json_print(stdout, json_incref(service));
	else
		print_counters(service);
	return 0;
}

int command_services(struct cli *cli, int argc, char **argv)
{
	struct printing printing = { .cli = cli };
	struct fault fault;

	cli_parse(cli, &syntax, argc, argv, NULL);
	fold_stdout(cli);
	if (client_list(cli->control, json_pack("{ss}", "op", "services"), print_service, &printing, &fault))
		return cli_fail(cli, &fault);
	if (!printing.count && !cli->json)
		puts(NO_FLOW);
	return EXIT_OK;
}
