/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* autocork endpoint: the programs with TCP of their own, as the agent knows them, and their flows, as the steering
 * does. */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/fold.h"
#include "cli/options.h"
#include "commands/commands.h"
#include "commands/endpoint_top.h"
#include "lib/clock.h"
#include "lib/json.h"
#include "lib/table.h"
#include "lib/units.h"
#include "steer/pins.h"
#include "steer/steer_tables.h"

struct options {
	const char *action;
	struct endpoint_top top;
};

static void take_action(struct argp_state *state, char *arg, void *input)
{
	struct options *options = input;

	if (options->action)
		argp_error(state, "%s: too much: one action at a time", arg);
	options->action = arg;
}

static void take_filter(const struct argp_state *state, char *text, void *input)
{
	struct options *options = input;

	if (strlen(text) >= sizeof(options->top.filter))
		argp_error(state, "--filter: at most %zu characters", sizeof(options->top.filter) - 1);
	strcpy(options->top.filter, text);
}

static const char *const sorts[ENDPOINT_COLUMNS + 1] = { "program", "open", "in", "out", "again", "drops", "sleep" };

static const struct cli_option cli_options[] = {
	{ "once", 'o', 0, "top: print one screen after one interval, and end", CLI_FLAG,
	  CLI_AT(struct options, top.once) },
	{ "sort", 's', "COLUMN", "top: program, open, in (default), out, again, drops or sleep", CLI_WORD,
	  .words = sorts, CLI_AT(struct options, top.sort) },
	{ "filter", 'F', "TEXT", "top: only rows with TEXT in program, number or interface", CLI_OTHER,
	  .take = take_filter },
	{ "delay", 'd', "TIME", "top: interval (default 1s)", CLI_SECONDS, .low = 0.1, .high = 3600,
	  CLI_AT(struct options, top.delay_s) },
	{ 0 },
};

static const struct cli_syntax syntax = {
	.options = cli_options,
	.args_doc = "status\nflows\ntop",
	.argument = take_action,
	.doc = "Shows the programs that serve their connections themselves (autocork run): status asks the agent for the programs, "
	       "their queues and counters; flows lists the connections that the steering brings them (root); top shows the programs "
	       "live, like top(1).\n"
	       "\n"
	       "Examples:\n"
	       "  autocork endpoint status\n"
	       "  autocork endpoint flows --json\n"
	       "  autocork endpoint top --sort drops\n"
	       "  autocork endpoint top --once --json\n"
	       "\v"
	       "Keys of top: n o i t g d s sort by program, open, in, out, again, drops, sleep; R reverses; / filters; "
	       "SPACE pauses; arrows and page keys scroll; h or ? explains; q quits.",
};

/* ------------------------------------------------------------------ status */

static void print_ports(struct table *table, const json_t *ports)
{
	char text[128] = "";
	size_t i;
	json_t *port;

	json_array_foreach((json_t *)ports, i, port) {
		size_t used = strlen(text);

		snprintf(text + used, sizeof(text) - used, "%s%" PRIdMAX, i ? "," : "",
			 (intmax_t)json_integer_value(port));
	}
	table_cell(table, TABLE_PLAIN, "%s", text);
}

static void print_instances(const struct cli *cli, const json_t *instances)
{
	static const char *const shown[] = { "connections",  "accepted",      "segments_in",
					     "segments_out", "retransmitted", "handed_over" };
	static const struct table_column columns[] = {
		{ "PROGRAM", TABLE_LEFT },   { "PID", TABLE_RIGHT },	     { "INTERFACE", TABLE_LEFT },
		{ "QUEUE", TABLE_RIGHT },    { "PORTS", TABLE_LEFT },	     { "OPEN", TABLE_RIGHT },
		{ "ACCEPTED", TABLE_RIGHT }, { "SEGMENTS IN", TABLE_RIGHT }, { "OUT", TABLE_RIGHT },
		{ "AGAIN", TABLE_RIGHT },    { "TO KERNEL", TABLE_RIGHT },   { "DROPPED", TABLE_RIGHT },
		{ "SLEEPS", TABLE_RIGHT },
	};
	struct table *table = table_new(columns, sizeof(columns) / sizeof(columns[0]));
	struct units units;
	double polls;
	json_t *instance;
	size_t i;

	json_array_foreach((json_t *)instances, i, instance) {
		table_cell(table, TABLE_PLAIN, "%s", json_member_text(instance, "program"));
		table_cell(table, TABLE_PLAIN, "%" PRIdMAX, (intmax_t)json_number(instance, "pid"));
		table_cell(table, TABLE_PLAIN, "%s", json_member_text(instance, "interface"));
		table_cell(table, TABLE_PLAIN, "%" PRIdMAX, (intmax_t)json_number(instance, "queue"));
		print_ports(table, json_object_get(instance, "ports"));
		for (size_t k = 0; k < sizeof(shown) / sizeof(shown[0]); k++)
			table_cell(table, TABLE_PLAIN, "%s", units_count(&units, json_number(instance, shown[k])));
		polls = json_number(instance, "polls");
		table_cell(table, TABLE_PLAIN, "%s", units_count(&units, endpoint_dropped(instance)));
		table_cell(table, TABLE_PLAIN, "%.0f%%",
			   polls > 0 ? 100 * json_number(instance, "sleeps") / polls : 0.0);
	}
	table_print(table, stdout, cli->colour, cli->width);
	table_free(table);
}

static int run_status(struct cli *cli, struct fault *fault)
{
	json_t *reply, *instances;

	if (client_call(cli->control, json_pack("{ss}", "op", "endpoint"), &reply, fault))
		return -1;
	if (cli->json) {
		json_print(stdout, reply);
		return 0;
	}
	instances = json_object_get(reply, "instances");
	if (json_array_size(instances))
		print_instances(cli, instances);
	else
		puts("No program serves its connections itself. A policy with `steer = endpoint` and `autocork run -- PROGRAM` "
		     "change that.");
	json_decref(reply);
	return 0;
}

/* ------------------------------------------------------------------ flows */

struct listing {
	const struct cli *cli;
	struct table *table;
	size_t count;
};

static void print_end(char *out, size_t size, const uint8_t address[16], uint16_t port)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	char text[INET6_ADDRSTRLEN];
	bool four = !memcmp(address, mapped, sizeof(mapped));

	inet_ntop(four ? AF_INET : AF_INET6, four ? address + 12 : address, text, sizeof(text));
	snprintf(out, size, four ? "%s:%u" : "[%s]:%u", text, ntohs(port));
}

static void show_flow(struct listing *listing, const char *interface, const struct steer_rule *rule,
		      const struct steer_flow_key *key, const struct steer_flow *flow)
{
	char local[64], remote[64];
	uint64_t idle = monotonic_ns() >> 30;

	idle = idle > flow->seen ? idle - flow->seen : 0;
	print_end(local, sizeof(local), key->local, key->local_port);
	print_end(remote, sizeof(remote), key->remote, key->remote_port);
	listing->count++;
	if (listing->cli->json) {
		json_print(stdout,
			   json_pack("{so so so so ss sI}", "interface", json_text_or_null(interface), "policy",
				     json_text(rule->policy, sizeof(rule->policy)), "local", json_text_or_null(local),
				     "remote", json_text_or_null(remote), "state",
				     flow->state == STEER_OPEN ? "open" : "closing", "idle_seconds", (json_int_t)idle));
		return;
	}
	table_cell(listing->table, TABLE_PLAIN, "%s", interface);
	table_cell(listing->table, TABLE_PLAIN, "%.*s", (int)sizeof(rule->policy), rule->policy);
	table_cell(listing->table, TABLE_PLAIN, "%s", local);
	table_cell(listing->table, TABLE_PLAIN, "%s", remote);
	table_cell(listing->table, TABLE_PLAIN, "%s", flow->state == STEER_OPEN ? "open" : "closing");
	table_cell(listing->table, TABLE_PLAIN, "%" PRIu64 "s", idle);
}

static int list_flows(const char *interface, void *context)
{
	struct steer_tables tables;
	struct steer_flow_key key, next;
	struct steer_rule *rules;
	struct steer_flow flow;
	struct fault fault;
	int left = STEER_FLOWS_MAX;
	bool any;

	/* Another namespace's, or gone meanwhile. */
	if (tables_open(&tables, interface, &fault))
		return 0;
	rules = tables_read_array(tables.steer_rules, STEER_RULES_MAX, sizeof(*rules));
	any = rules && !bpf_map_get_next_key(tables.steer_flows, NULL, &next);
	while (any && left--) {
		key = next;
		any = !bpf_map_get_next_key(tables.steer_flows, &key, &next);
		if (!bpf_map_lookup_elem(tables.steer_flows, &key, &flow) && flow.rule < STEER_RULES_MAX &&
		    rules[flow.rule].mode == STEER_ENDPOINT)
			show_flow(context, interface, &rules[flow.rule], &key, &flow);
	}
	free(rules);
	tables_close(&tables);
	return 0;
}

static int run_flows(struct cli *cli, struct fault *fault)
{
	static const struct table_column columns[] = {
		{ "INTERFACE", TABLE_LEFT }, { "POLICY", TABLE_LEFT }, { "LOCAL", TABLE_LEFT },
		{ "REMOTE", TABLE_LEFT },    { "STATE", TABLE_LEFT },  { "IDLE", TABLE_RIGHT },
	};
	struct listing listing = { .cli = cli, .table = table_new(columns, sizeof(columns) / sizeof(columns[0])) };
	int result;

	if (geteuid()) {
		table_free(listing.table);
		return fault_set(fault, EXIT_FAILED,
				 "endpoint flows: the steering's tables are root's: run it as root");
	}
	result = pins_each(list_flows, &listing, fault);
	if (!result && !cli->json) {
		if (listing.count)
			table_print(listing.table, stdout, cli->colour, cli->width);
		else
			puts("No flow is steered to a program.");
	}
	table_free(listing.table);
	return result;
}

int command_endpoint(struct cli *cli, int argc, char **argv)
{
	struct options options = { .top = { .sort = ENDPOINT_BY_IN, .delay_s = 1 } };
	struct fault fault;
	int result;

	cli_parse(cli, &syntax, argc, argv, &options);
	if (!options.action || strcmp(options.action, "top"))
		fold_stdout(cli);
	if (options.action && !strcmp(options.action, "status"))
		result = run_status(cli, &fault);
	else if (options.action && !strcmp(options.action, "flows"))
		result = run_flows(cli, &fault);
	else if (options.action && !strcmp(options.action, "top"))
		result = endpoint_top(cli, &options.top, &fault);
	else
		result = fault_set(&fault, EXIT_USAGE, "endpoint %s: not an action: use status, flows or top",
				   options.action ?: "");
	return result ? cli_fail(cli, &fault) : EXIT_OK;
}
