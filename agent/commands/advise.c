/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* autocork advise: what each service would save, from what its flows did in shadow. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/client.h"
#include "cli/fold.h"
#include "cli/options.h"
#include "commands/commands.h"
#include "commands/service_list.h"
#include "lib/json.h"
#include "lib/table.h"
#include "lib/units.h"

struct options {
	double seconds; /* 0 = since the agent started */
	long port;
	bool emit;
	bool all;
};

static const struct cli_option argp_options[] = {
	CLI_FOR(0.1, "Look at the next TIME (30s, 2m) instead of all since the agent started",
		CLI_AT(struct options, seconds)),
	CLI_PORT("Only this service port", CLI_AT(struct options, port)),
	{ "emit", 'e', 0, "Print a policy file that follows the advice to manage", CLI_FLAG,
	  CLI_AT(struct options, emit) },
	{ "all", 'a', 0, "Also services that are managed or that save too little", CLI_FLAG,
	  CLI_AT(struct options, all) },
	{ 0 },
};

static const struct cli_syntax syntax = {
	.options = argp_options,
	.doc = "Lists, per port and program, what managing it would save, from what its flows do now. Nothing is held for "
	       "it.\n"
	       "\n"
	       "Examples:\n"
	       "  autocork advise --for 30s\n"
	       "  autocork advise --emit > /etc/autocork/policy.d/50-advice.conf\n"
	       "  autocork advise --json | jq 'select(.verdict == \"manage\").id'\n"
	       "\v"
	       "STALL is how long a message waits on average for an ACK that it would no longer wait for (Nagle's "
	       "algorithm). PACKETS/S is how many packets would be saved, CPU the share of one CPU that this saves "
	       "the sender, less what managing messages and new connections costs (below 0: a loss). TOO LONG/S is "
	       "how often a message would be held too long, by max_hold at most. COPIED/S is bytes that large writes"
	       " copied and sendfile() or splice() would not. ADVICE: manage; doubtful: it would save, and hold too "
	       "long too often; leave: it would save too little; corks: it joins its writes by itself (MSG_MORE, "
	       "TCP_CORK); unknown: fewer than 100 messages were seen, or 20 of those "
	       "that wait long; managed.",
};

/* What matters most comes first: a narrow terminal cuts the right end. */
static const struct table_column columns[] = {
	{ "ADVICE", TABLE_LEFT },      { "PORT", TABLE_RIGHT },	     { "PROGRAM", TABLE_LEFT },
	{ "STALL", TABLE_RIGHT },      { "PACKETS/S", TABLE_RIGHT }, { "OF WRITES", TABLE_RIGHT },
	{ "CPU", TABLE_RIGHT },	       { "SIDE", TABLE_LEFT },	     { "TOO LONG/S", TABLE_RIGHT },
	{ "CONFIDENCE", TABLE_RIGHT }, { "COPIED/S", TABLE_RIGHT },  { "ID", TABLE_LEFT },
};

struct advised {
	struct listed_service service;
	struct advice advice;
};

static int by_harm(const void *x, const void *y)
{
	return advice_compare(&((const struct advised *)x)->advice, &((const struct advised *)y)->advice);
}

static void add_row(struct table *table, const struct advised *advised)
{
	static const enum table_style styles[] = {
		[ADVICE_UNKNOWN] = TABLE_DIM, [ADVICE_LEAVE] = TABLE_DIM,     [ADVICE_DOUBTFUL] = TABLE_WARN,
		[ADVICE_MANAGE] = TABLE_GOOD, [ADVICE_MANAGED] = TABLE_PLAIN, [ADVICE_CORKS] = TABLE_DIM,
	};
	const struct advice *advice = &advised->advice;
	struct units units;

	table_cell(table, styles[advice->verdict], "%s", advice_verdict_name(advice->verdict));
	table_cell(table, TABLE_PLAIN, "%u", advised->service.port);
	table_cell(table, TABLE_PLAIN, "%s", advised->service.program);
	table_cell(table, TABLE_PLAIN, "%s", units_delay(&units, advice->stall_s_per_burst * 1e6));
	table_cell(table, TABLE_PLAIN, "%s%.1f", advice->one_in > 1 ? "≈" : "", advice->packets_per_s);
	table_cell(table, TABLE_PLAIN, "%.0f%%", advice->saved_share * 100);
	table_cell(table, TABLE_PLAIN, "%.2f%%", advice->cpu_share * 100);
	table_cell(table, TABLE_PLAIN, "%s", service_side_name(advised->service.side));
	table_cell(table, TABLE_PLAIN, "%.2f", advice->misses_per_s);
	table_cell(table, TABLE_PLAIN, "%.1f%%", advice->confidence * 100);
	table_cell(table, advice_names_copies(advice) ? TABLE_WARN : TABLE_PLAIN, "%s",
		   units_count(&units, advice->copied_bytes_per_s));
	table_cell(table, TABLE_PLAIN, "%s", advice->id);
}

/* No policy helps against copies: what would is the program's to do. */
static void print_copies(const struct advised *advised, size_t count)
{
	const char *lead = "\nCopies that could be spared, in writes of 16 KiB and more, a second: ";
	struct units units;

	for (size_t i = 0; i < count; i++) {
		if (!advice_names_copies(&advised[i].advice))
			continue;
		printf("%sport %u %s %s %sB", lead, advised[i].service.port, service_side_name(advised[i].service.side),
		       advised[i].service.program, units_count(&units, advised[i].advice.copied_bytes_per_s));
		lead = ", ";
	}
	if (*lead == ',')
		puts(".\n  Send files with sendfile() or splice(), other memory with MSG_ZEROCOPY; `autocork bench "
		     "copy` measures the gain.");
}

static void print_sampled(const struct advised *advised, size_t count)
{
	double most = 1;

	for (size_t i = 0; i < count; i++)
		most = advised[i].advice.one_in > most ? advised[i].advice.one_in : most;
	if (most > 1)
		printf("\n≈ is inferred from a sample, to stay in the telemetry's budget: 1 message in %.0f was seen.\n"
		       "  --for looks at all that happens meanwhile.\n",
		       most);
}

static json_t *to_json(const struct advised *advised, double seconds)
{
	const struct advice *advice = &advised->advice;
	const struct advice_counts *counts = &advised->service.counts;
#define N(value) ((json_int_t)(value))

	return json_pack("{ss si ss ss ss sf sf sf sf sf sf sf sf sf sf s{sI sI sI sI sI sI sI}}", "id", advice->id,
			 "port", advised->service.port, "side", service_side_name(advised->service.side), "program",
			 advised->service.program, "verdict", advice_verdict_name(advice->verdict), "seconds", seconds,
			 "packets_per_second", advice->packets_per_s, "saved_share", advice->saved_share, "cpu_share",
			 advice->cpu_share, "stall_seconds_per_second", advice->stall_s_per_s,
			 "stall_seconds_per_burst", advice->stall_s_per_burst, "misses_per_second",
			 advice->misses_per_s, "copied_bytes_per_second", advice->copied_bytes_per_s, "confidence",
			 advice->confidence, "one_in", advice->one_in, "seen", "writes", N(counts->writes), "bursts",
			 N(counts->bursts), "held", N(counts->held + counts->shadow_held), "misses",
			 N(counts->misses + counts->shadow_misses), "merged", N(counts->shadow_merged), "stall_us",
			 N(counts->shadow_stall_us), "large_copied_bytes", N(counts->large_copied_bytes));
}

/* What happened, and in how many seconds. */
static int look(const struct cli *cli, const struct options *options, struct service_list *list, double *seconds,
		struct fault *fault)
{
	json_t *status;

	if (!options->seconds) {
		if (client_call(cli->control, json_pack("{ss}", "op", "status"), &status, fault))
			return -1;
		*seconds = json_number(json_object_get(status, "agent"), "uptime_seconds") ?: 1;
		json_decref(status);
		return service_list_fetch(cli->control, 0, list, fault);
	}
	return service_list_change(cli, options->seconds, list, seconds, fault);
}

static void print(const struct cli *cli, const struct options *options, const struct advised *advised, size_t count,
		  double seconds)
{
	struct table *table;

	if (options->emit) {
		printf("# Written by autocork advise from %.0f seconds of traffic.\n", seconds);
		if (!count)
			puts("# No service would save enough: there is nothing to manage.");
		for (size_t i = 0; i < count; i++) {
			const struct listed_service *service = &advised[i].service;

			putchar('\n');
			advice_policy(stdout, &advised[i].advice, service->port, service->side, service->program);
		}
		return;
	}
	if (cli->json) {
		for (size_t i = 0; i < count; i++)
			json_print(stdout, to_json(&advised[i], seconds));
		return;
	}
	if (!count) {
		puts(options->all ? "No TCP flow was seen." : "Nothing to advise; --all shows what was seen.");
		return;
	}
	table = table_new(columns, sizeof(columns) / sizeof(columns[0]));
	for (size_t i = 0; i < count; i++)
		add_row(table, &advised[i]);
	table_print(table, stdout, cli->colour, cli->width);
	table_free(table);
	print_copies(advised, count);
	print_sampled(advised, count);
}

static bool is_wanted(const struct options *options, const struct advised *advised)
{
	enum advice_verdict verdict = advised->advice.verdict;

	if (advised->service.overflow || (options->port && options->port != advised->service.port) ||
	    !advised->service.counts.writes)
		return false;
	if (options->emit)
		return verdict == ADVICE_MANAGE;
	return options->all || verdict == ADVICE_MANAGE || verdict == ADVICE_DOUBTFUL ||
	       advice_names_copies(&advised->advice);
}

int command_advise(struct cli *cli, int argc, char **argv)
{
	struct options options = { 0 };
	struct service_list list;
	struct advised *advised;
	struct fault fault;
	size_t count = 0;
	double seconds;

	cli_parse(cli, &syntax, argc, argv, &options);
	if (options.emit && cli->json) {
		fault_set(&fault, EXIT_USAGE, "--emit: a policy file is no JSON: leave --json out");
		return cli_fail(cli, &fault);
	}
	if (!options.emit)
		fold_stdout(cli);
	if (look(cli, &options, &list, &seconds, &fault))
		return cli_fail(cli, &fault);
	advised = calloc(list.count + 1, sizeof(*advised));
	if (!advised) {
		service_list_free(&list);
		fault_set(&fault, EXIT_FAILED, "advise: out of memory");
		return cli_fail(cli, &fault);
	}
	for (size_t i = 0; i < list.count; i++) {
		const struct listed_service *service = &list.services[i];

		advised[count].service = *service;
		advised[count].advice =
			advice_make(service->port, service->side, service->program, &service->counts, seconds);
		count += is_wanted(&options, &advised[count]);
	}
	qsort(advised, count, sizeof(*advised), by_harm);
	print(cli, &options, advised, count, seconds);
	free(advised);
	service_list_free(&list);
	return EXIT_OK;
}
