/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* autocork flows: the live flows, one line each. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/client.h"
#include "cli/fold.h"
#include "cli/options.h"
#include "commands/commands.h"
#include "commands/services.h"
#include "lib/json.h"
#include "lib/table.h"
#include "lib/units.h"

struct context {
	const struct cli *cli;
	struct table *table;
	json_t *request;
};

static const struct cli_option options[] = {
	CLI_FLOW_PORT(CLI_IN(struct context, request, "port")),
	CLI_FLOW_PROGRAM(CLI_IN(struct context, request, "program")),
	{ "managed", 'm', 0, "Only flows that are managed", CLI_FLAG, CLI_IN(struct context, request, "managed") },
	{ "limit", 'n', "N", "At most N flows", CLI_NUMBER, .low = 1, .high = 10000000,
	  CLI_IN(struct context, request, "limit") },
	{ 0 },
};

static const struct cli_syntax syntax = {
	.options = options,
	.doc = "Lists the live flows.\n"
	       "\n"
	       "Examples:\n"
	       "  autocork flows --port 80\n"
	       "  autocork flows --managed --program 'ngin*'\n"
	       "  autocork flows --json | jq -r 'select(.misses > 0).remote'\n"
	       "\v"
	       "MANAGED is the congestion control that holds writes, or in brackets why the flow is not managed. TIME "
	       "SAVED is the flow's share of what its service saved (autocork status), by the packets. PACKETS counts the "
	       "packets saved, TOO LONG the messages of which something was held for nothing.",
};

/* Whether it is managed, or why not, comes first: a narrow terminal cuts the right end. */
static const struct table_column columns[] = {
	{ "MANAGED", TABLE_LEFT },   { "LOCAL", TABLE_LEFT },	{ "TIME SAVED", TABLE_RIGHT },
	{ "PACKETS", TABLE_RIGHT },  { "REMOTE", TABLE_LEFT },	{ "SIDE", TABLE_LEFT },
	{ "PROGRAM", TABLE_LEFT },   { "POLICY", TABLE_LEFT },	{ "MODE", TABLE_LEFT },
	{ "AGE", TABLE_RIGHT },	     { "WRITES", TABLE_RIGHT }, { "MESSAGES", TABLE_RIGHT },
	{ "TOO LONG", TABLE_RIGHT },
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
	if (*wrapper)
		table_cell(table, TABLE_GOOD, "%s", wrapper);
	else
		table_cell(table, TABLE_DIM, "%s%s%s", *refusal ? "(" : "", refusal, *refusal ? ")" : "");
	address_cell(table, flow, "local", "local_port");
	services_saved_time(table, json_number(flow, "saved_wait_us"));
	table_cell(table, TABLE_GOOD, "%s", units_count(&units, json_number(flow, "held")));
	address_cell(table, flow, "remote", "remote_port");
	table_cell(table, TABLE_PLAIN, "%s", json_member_text(flow, "side"));
	table_cell(table, TABLE_PLAIN, "%s", json_member_text(flow, "program"));
	table_cell(table, TABLE_PLAIN, "%s", json_member_text(flow, "policy"));
	table_cell(table, TABLE_PLAIN, "%s", json_member_text(flow, "mode"));
	table_cell(table, TABLE_PLAIN, "%s", units_age(&units, json_number(flow, "age_us") / 1000000));
	table_cell(table, TABLE_PLAIN, "%s", units_count(&units, json_number(flow, "writes")));
	table_cell(table, TABLE_PLAIN, "%s", units_count(&units, json_number(flow, "bursts")));
	table_cell(table, TABLE_PLAIN, "%s", units_count(&units, json_number(flow, "misses")));
	return 0;
}

int command_flows(struct cli *cli, int argc, char **argv)
{
	struct context context = { .cli = cli, .request = json_pack("{ss}", "op", "flows") };
	struct fault fault;
	int result;

	cli_parse(cli, &syntax, argc, argv, &context);
	fold_stdout(cli);
	context.table = table_new(columns, sizeof(columns) / sizeof(columns[0]));
	result = client_list(cli->control, context.request, print_flow, &context, &fault);
	if (!result && !cli->json)
		table_print(context.table, stdout, cli->colour, cli->width);
	table_free(context.table);
	return result ? cli_fail(cli, &fault) : EXIT_OK;
}
