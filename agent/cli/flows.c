/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* autocork flows: the live flows, one line each. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/cli.h"
#include "lib/json.h"
#include "lib/table.h"
#include "lib/units.h"

enum { OPTION_PORT = 'p', OPTION_PROGRAM = 'P', OPTION_MANAGED = 'm', OPTION_LIMIT = 'n' };

struct context {
	const struct cli *cli;
	struct table *table;
	json_t *request;
};

static const struct argp_option options[] = {
	{ "port", OPTION_PORT, "PORT", 0, "Only flows with this local or remote port", 0 },
	{ "program", OPTION_PROGRAM, "PATTERN", 0, "Only flows of programs that match the shell pattern", 0 },
	{ "managed", OPTION_MANAGED, 0, 0, "Only flows that run on a wrapper", 0 },
	{ "limit", OPTION_LIMIT, "N", 0, "At most N flows", 0 },
	{ 0 },
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct context *context = state->input;

	switch (key) {
	case OPTION_PORT:
		json_object_set_new(context->request, "port", json_integer(cli_number(state, "port", arg, 1, 65535)));
		return 0;
	case OPTION_PROGRAM:
		if (json_object_set_new(context->request, "program", json_string(arg)))
			argp_error(state, "--program %s: not UTF-8", arg);
		return 0;
	case OPTION_MANAGED:
		json_object_set_new(context->request, "managed", json_true());
		return 0;
	case OPTION_LIMIT:
		json_object_set_new(context->request, "limit",
				    json_integer(cli_number(state, "limit", arg, 1, 10000000)));
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.doc = "Lists the live flows.\n"
	       "\n"
	       "Examples:\n"
	       "  autocork flows --port 80\n"
	       "  autocork flows --managed --program 'ngin*'\n"
	       "  autocork flows --json | jq -r 'select(.misses > 0).remote'\n",
};

static const struct table_column columns[] = {
	{ "LOCAL", TABLE_LEFT },   { "REMOTE", TABLE_LEFT },  { "SIDE", TABLE_LEFT },	 { "PROGRAM", TABLE_LEFT },
	{ "POLICY", TABLE_LEFT },  { "MODE", TABLE_LEFT },    { "WRAPPER", TABLE_LEFT }, { "AGE", TABLE_RIGHT },
	{ "WRITES", TABLE_RIGHT }, { "BURSTS", TABLE_RIGHT }, { "SAVED", TABLE_RIGHT },	 { "MISSES", TABLE_RIGHT },
};

static void address_cell(struct table *table, const json_t *flow, const char *address, const char *port)
{
	const char *text = json_member_text(flow, address);
	bool bare = !strchr(text, ':');

	table_cell(table, TABLE_PLAIN, "%s%s%s:%" PRIdMAX, bare ? "" : "[", text, bare ? "" : "]",
		   (intmax_t)json_number(flow, port));
}

static int print_flow(json_t *flow, void *data)
{
	struct context *context = data;
	struct table *table = context->table;
	const char *wrapper = json_member_text(flow, "wrapper"), *refusal = json_member_text(flow, "refusal");
	struct units units;

	if (context->cli->json) {
		json_print(stdout, json_incref(flow));
		return 0;
	}
	address_cell(table, flow, "local", "local_port");
	address_cell(table, flow, "remote", "remote_port");
	table_cell(table, TABLE_PLAIN, "%s", json_member_text(flow, "side"));
	table_cell(table, TABLE_PLAIN, "%s", json_member_text(flow, "program"));
	table_cell(table, TABLE_PLAIN, "%s", json_member_text(flow, "policy"));
	table_cell(table, TABLE_PLAIN, "%s", json_member_text(flow, "mode"));
	if (*wrapper)
		table_cell(table, TABLE_GOOD, "%s", wrapper);
	else
		table_cell(table, TABLE_DIM, "%s%s%s", *refusal ? "(" : "", refusal, *refusal ? ")" : "");
	table_cell(table, TABLE_PLAIN, "%s", units_age(&units, json_number(flow, "age_us") / 1000000));
	table_cell(table, TABLE_PLAIN, "%s", units_count(&units, json_number(flow, "writes")));
	table_cell(table, TABLE_PLAIN, "%s", units_count(&units, json_number(flow, "bursts")));
	table_cell(table, TABLE_PLAIN, "%s", units_count(&units, json_number(flow, "held")));
	table_cell(table, TABLE_PLAIN, "%s", units_count(&units, json_number(flow, "misses")));
	return 0;
}

int cli_flows(struct cli *cli, int argc, char **argv)
{
	struct context context = { .cli = cli, .request = json_pack("{ss}", "op", "flows") };
	struct fault fault;
	int result;

	cli_parse(cli, &argp, argc, argv, &context);
	context.table = table_new(columns, sizeof(columns) / sizeof(columns[0]));
	result = client_list(cli->control, context.request, print_flow, &context, &fault);
	if (!result && !cli->json)
		table_print(context.table, stdout, cli->colour, cli->width);
	table_free(context.table);
	return result ? cli_fail(cli, &fault) : EXIT_OK;
}
