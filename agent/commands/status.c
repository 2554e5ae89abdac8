/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* autocork status: one page, once or live. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/fold.h"
#include "cli/options.h"
#include "commands/commands.h"
#include "commands/services.h"
#include "lib/json.h"
#include "lib/table.h"
#include "lib/units.h"
#include "telemetry/advice.h"

#define WATCH_TERMINAL_S 1
#define WATCH_FILE_S 5
#define COPIES_NAMED 3 /* services whose copies are told apart */

struct options {
	long watch_s;	  /* 0 = once */
	const char *note; /* NULL = none */
};

static void take_watch(const struct argp_state *state, char *arg, void *input)
{
	struct options *given = input;

	if (arg)
		given->watch_s = cli_number(state, "watch", arg, 1, CLI_DAY_S);
	else
		given->watch_s = isatty(STDOUT_FILENO) ? WATCH_TERMINAL_S : WATCH_FILE_S;
}

static const struct cli_option options[] = {
	{ "watch", 'w', "SECONDS", "Show it again every SECONDS (default 1 on a terminal, else 5) until interrupted",
	  CLI_OTHER, .take = take_watch, .optional = true },
	{ "note", 'n', "TEXT", "Show this line too, above the services", CLI_TEXT, CLI_AT(struct options, note) },
	{ 0 },
};

static const struct cli_syntax syntax = {
	.options = options,
	.doc = "Shows what the agent does and what it saves, per service.\n"
	       "\n"
	       "Examples:\n"
	       "  autocork status\n"
	       "  autocork status --watch\n"
	       "  autocork status --json | jq .totals.held\n"
	       "\v"
	       "TIME SAVED is how long messages would have waited for ACKs (Nagle's algorithm), each as long as it was "
	       "measured before, so it is an estimate. PACKETS counts the packets saved: writes that did not become a "
	       "packet of their own. NOT MANAGED says why "
	       "flows that a policy wants managed are not. TOO LONG counts the messages of which something was held for "
	       "nothing. ADDED DELAY is the mean time from the first held write of a message to its release.",
};

/* Only what does not work: doctor has them all, and the next step. */
static void print_features(FILE *out, const struct cli *cli, const json_t *features)
{
	const json_t *feature;
	size_t i, listed = 0;

	json_array_foreach((json_t *)features, i, feature) {
		if (json_is_true(json_object_get(feature, "works")))
			continue;
		fprintf(out, "%s%s%s%s", listed++ ? ", " : "kernel  without ", table_paint(TABLE_WARN, cli->colour),
			json_member_text(feature, "name"), table_paint(TABLE_PLAIN, cli->colour));
	}
	if (listed)
		fputs(" (autocork doctor)\n", out);
	json_array_foreach((json_t *)features, i, feature)
		if (!strcmp(json_member_text(feature, "name"), "release") &&
		    !json_is_true(json_object_get(feature, "works")))
			fprintf(out, "        nothing is managed: %s: %s\n", json_member_text(feature, "reason"),
				json_member_text(feature, "fix"));
}

static void print_policy(FILE *out, const struct cli *cli, const json_t *policy)
{
	const json_t *reload = json_object_get(policy, "reload");
	size_t files = json_array_size(json_object_get(policy, "files"));
	time_t at = json_number(reload, "at");
	struct tm local;
	char when[32];

	strftime(when, sizeof(when), "%F %T", localtime_r(&at, &local));
	fprintf(out, "policy  %" PRIdMAX " from %zu %s, loaded %s", (intmax_t)json_number(policy, "policies"), files,
		files == 1 ? "file" : "files", when);
	if (json_is_false(json_object_get(reload, "ok")))
		fprintf(out, "; %slast reload refused%s: %s", table_paint(TABLE_BAD, cli->colour),
			table_paint(TABLE_PLAIN, cli->colour), json_member_text(reload, "error"));
	else if (*json_member_text(policy, "unmet"))
		fprintf(out, "; %snot in force%s: %s", table_paint(TABLE_BAD, cli->colour),
			table_paint(TABLE_PLAIN, cli->colour), json_member_text(policy, "unmet"));
	fputc('\n', out);
}

/* Only while there is something to say: what is counted of observed flows is then inferred from some of the time. */
static void print_sampling(FILE *out, const struct cli *cli, const json_t *telemetry)
{
	double sampling = json_number_value(json_object_get(telemetry, "sampling"));

	if (sampling > 0 && sampling < 1)
		fprintf(out,
			"budget  %sexceeded%s: observed flows are looked at for 1 second in %.0f, which stands for the "
			"rest (≈)\n",
			table_paint(TABLE_WARN, cli->colour), table_paint(TABLE_PLAIN, cli->colour), 1 / sampling);
}

/* Only if there were any: what the large writes of programs copied, busiest first. */
static void print_copies(FILE *out, const json_t *services, json_int_t total)
{
	struct units units;
	const json_t *service;
	size_t i, named = 0;
	json_int_t last = INT64_MAX;

	if (!total)
		return;
	fprintf(out, "copies  %sB that sendfile() or splice() would have spared", units_count(&units, total));
	while (named < COPIES_NAMED) {
		const json_t *most = NULL;

		json_array_foreach((json_t *)services, i, service) {
			json_int_t copied = json_number(service, "large_copied_bytes");

			if (copied < last && copied > json_number(most, "large_copied_bytes"))
				most = service;
		}
		if (!most)
			break;
		last = json_number(most, "large_copied_bytes");
		fprintf(out, "%s port %" PRIdMAX " %s %s %sB", named++ ? "," : ":", (intmax_t)json_number(most, "port"),
			json_member_text(most, "side"), json_member_text(most, "program"), units_count(&units, last));
	}
	fputc('\n', out);
}

static void print_lost(FILE *out, const struct cli *cli, json_int_t lost)
{
	struct units units;

	if (lost)
		fprintf(out,
			"%slost    %s connections were not followed: start autocorkd with a higher --max-flows%s\n",
			table_paint(TABLE_WARN, cli->colour), units_count(&units, lost),
			table_paint(TABLE_PLAIN, cli->colour));
}

/* Only if there were any: holds that ended more than 1 ms after their max_hold. */
static void print_late(FILE *out, const struct cli *cli, json_int_t late)
{
	struct units count;

	if (late)
		fprintf(out, "late    %s%s%s holds ended more than 1 ms after max_hold\n",
			table_paint(TABLE_WARN, cli->colour), units_count(&count, late),
			table_paint(TABLE_PLAIN, cli->colour));
}

static void print_metrics(FILE *out, const char *url, const json_t *telemetry)
{
	json_int_t added_up = json_number(telemetry, "metrics_added_up");

	fprintf(out, "metrics %s", url);
	if (added_up)
		fprintf(out, ": %" PRIdMAX " series per service, %" PRIdMAX " metrics per host only",
			(intmax_t)json_number(telemetry, "series"), (intmax_t)added_up);
	fputc('\n', out);
}

/* Members of a service that the lines above the table are made of, besides the table's. */
static const char *const summed[] = { "flows_managed", "large_copied_bytes" };

/* By what a packet, a message and a connection cost (docs/bench.md), of the services that are managed. */
static double saved_cpu_us(const json_t *services)
{
	const json_t *service;
	double us = 0;
	size_t i;

	json_array_foreach((json_t *)services, i, service)
		if (json_number(service, "held"))
			us += advice_cpu_us(json_number(service, "held"), json_number(service, "bursts"),
					    json_number(service, "flows_managed"));
	return us > 0 ? us : 0;
}

/* Time first, where anything waited: it is what users feel. */
static void print_saved(FILE *out, const struct cli *cli, const json_t *totals, const json_t *services)
{
	struct units waited, held, cpu, managed, flows;
	json_int_t wait_us = json_number(totals, "saved_wait_us");

	fprintf(out, "saved   %s", table_paint(TABLE_GOOD, cli->colour));
	if (wait_us)
		fprintf(out, "≈%s of waiting, ", units_time(&waited, wait_us));
	fprintf(out, "%s packets%s, ≈%s of CPU\n", units_count(&held, json_number(totals, "held")),
		table_paint(TABLE_PLAIN, cli->colour), units_time(&cpu, saved_cpu_us(services)));
	fprintf(out, "flows   %s of %s open ones managed\n", units_count(&managed, json_number(totals, "managed")),
		units_count(&flows, json_number(totals, "flows")));
}

static void print_page(FILE *out, const struct cli *cli, const char *note, const json_t *status)
{
	const json_t *agent = json_object_get(status, "agent"), *totals = json_object_get(status, "totals");
	const char *metrics = json_member_text(status, "metrics_url");
	const char *metrics_error = json_member_text(status, "metrics_error");
	struct units up;

	print_saved(out, cli, totals, json_object_get(status, "services"));
	fprintf(out, "agent   %sautocorkd %s%s, pid %" PRIdMAX ", up %s, mode %s", table_paint(TABLE_BOLD, cli->colour),
		json_member_text(agent, "version"), table_paint(TABLE_PLAIN, cli->colour),
		(intmax_t)json_number(agent, "pid"), units_age(&up, json_number(agent, "uptime_seconds")),
		json_member_text(agent, "mode"));
	fputc('\n', out);
	if (*metrics)
		print_metrics(out, metrics, json_object_get(status, "telemetry"));
	if (*metrics_error)
		fprintf(out, "%smetrics%s %s\n", table_paint(TABLE_BAD, cli->colour),
			table_paint(TABLE_PLAIN, cli->colour), metrics_error);
	print_features(out, cli, json_object_get(status, "features"));
	print_policy(out, cli, json_object_get(status, "policy"));
	print_late(out, cli, json_number(totals, "holds_late"));
	print_lost(out, cli, json_number(agent, "flows_lost"));
	print_copies(out, json_object_get(status, "services"), json_number(totals, "large_copied_bytes"));
	print_sampling(out, cli, json_object_get(status, "telemetry"));
	if (note)
		fprintf(out, "%s\n", note);
	fputc('\n', out);
	services_print(out, cli, json_object_get(status, "services"));
}

/* How many rows a line takes on a terminal so wide, which goes on in the next one; 0: the width is not known. */
static size_t rows_of(const char *line, size_t width)
{
	size_t columns = 0;

	for (; *line; line++) {
		if (*line == '\033')
			line += strcspn(line, "m") - !strchr(line, 'm');
		else
			columns += (*line & 0xc0) != 0x80;
	}
	return !width || columns <= width ? 1 : (columns + width - 1) / width;
}

/* Draws over what is there: every line ends by clearing its rest, the page by clearing the screen's. */
static void draw(const struct cli *cli, const char *note, const json_t *status)
{
	struct winsize size = { 0 };
	char *page = NULL, *save, *line;
	size_t length, rows = 0;
	FILE *out = open_memstream(&page, &length);

	if (!out)
		return;
	print_page(out, cli, note, status);
	fclose(out);
	ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
	fputs("\033[H", stdout);
	for (line = strtok_r(page, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		rows += rows_of(line, size.ws_col);
		if (size.ws_row && rows >= size.ws_row)
			break;
		printf("%s\033[K\n", line);
	}
	fputs("\033[J", stdout);
	fflush(stdout);
	free(page);
}

static void print_status(const struct cli *cli, const struct options *given, json_t *status)
{
	bool live = given->watch_s;

	if (cli->json) {
		json_print(stdout, json_incref(status));
	} else if (live && cli->terminal) {
		draw(cli, given->note, status);
	} else {
		print_page(stdout, cli, given->note, status);
		if (live)
			fputc('\n', stdout);
	}
	fflush(stdout);
}

/* What is shown of each service. With all counters of a thousand services, reading the answer would take longer than
 * all else. */
static json_t *shown_request(void)
{
	json_t *fields = services_fields();

	for (size_t i = 0; i < sizeof(summed) / sizeof(summed[0]); i++)
		json_array_append_new(fields, json_string(summed[i]));
	return json_pack("{ss so}", "op", "status", "fields", fields);
}

static int ask(const struct cli *cli, json_t **status, struct fault *fault)
{
	if (!cli->json) {
		if (!client_call(cli->control, shown_request(), status, fault))
			return 0;
		/* An agent of before an update, which knows no fields, is asked as it used to be. */
		if (fault->exit_code != EXIT_USAGE)
			return -1;
	}
	return client_call(cli->control, json_pack("{ss}", "op", "status"), status, fault);
}

int command_status(struct cli *cli, int argc, char **argv)
{
	struct options given = { 0 };
	struct fault fault;

	cli_parse(cli, &syntax, argc, argv, &given);
	if (!given.watch_s)
		fold_stdout(cli);
	if (given.watch_s && cli->terminal && !cli->json)
		fputs("\033[2J", stdout);
	for (;;) {
		json_t *status;

		if (ask(cli, &status, &fault))
			return cli_fail(cli, &fault);
		print_status(cli, &given, status);
		json_decref(status);
		if (!given.watch_s || ferror(stdout))
			return EXIT_OK;
		sleep(given.watch_s);
	}
}
