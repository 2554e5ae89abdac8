/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* autocork top: the services or flows that save most, live. */
#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <time.h>

#include "cli/client.h"
#include "cli/options.h"
#include "commands/commands.h"
#include "commands/live.h"
#include "commands/top_view.h"
#include "lib/clock.h"
#include "lib/json.h"
#include "lib/table.h"
#include "lib/units.h"

#define FLOWS_MAX 5000 /* more would only be scrolled past */

struct top {
	struct cli *cli;
	enum top_screen screen;
	enum top_column sort;
	bool ascending, once, ascii;
	double delay_s;
	char filter[LIVE_FILTER];
	struct top_table now;
	struct fault fault;
};

static void take_filter(const struct argp_state *state, char *text, void *input)
{
	struct top *top = input;

	if (strlen(text) >= sizeof(top->filter))
		argp_error(state, "--filter: at most %zu characters", sizeof(top->filter) - 1);
	strcpy(top->filter, text);
}

static const char *const sorts[TOP_COLUMNS + 1] = { "port", "program", "open",	"writes",
						    "time", "saved",   "share", "misses" };

static const struct cli_option options[] = {
	{ "once", 'o', 0, "Print one screen after one interval, and end", CLI_FLAG, CLI_AT(struct top, once) },
	{ "flows", 'f', 0, "Begin with the screen of flows", CLI_FLAG, .set = TOP_FLOWS, CLI_AT(struct top, screen) },
	{ "sort", 's', "COLUMN", "port, program, open, writes, time, saved (default), share or misses", CLI_WORD,
	  .words = sorts, CLI_AT(struct top, sort) },
	{ "filter", 'F', "TEXT", "Only rows with TEXT in port, side, program or peer", CLI_OTHER, .take = take_filter },
	{ "delay", 'd', "TIME", "Interval (default 1s)", CLI_SECONDS, .low = 0.1, .high = 3600,
	  CLI_AT(struct top, delay_s) },
	{ 0 },
};

static const struct cli_syntax syntax = {
	.options = options,
	.doc = "Shows which services, or flows, save how much waiting and how many packets; live, like top(1).\n"
	       "\n"
	       "Examples:\n"
	       "  autocork top\n"
	       "  autocork top --flows --filter nginx\n"
	       "  autocork top --once --json\n"
	       "\v"
	       "Keys: TAB or f services and flows; p n o w t s r m sort by port, program, open, writes, time, saved, "
	       "share, misses; R reverses; / filters; SPACE pauses; arrows and page keys scroll; h or ? explains; q quits.",
};

/* ------------------------------------------------------------------ reading */

static int add(json_t *item, void *context)
{
	struct top *top = context;

	return top_add(&top->now, top->screen, item);
}

static int read_now(struct top *top)
{
	struct top_table before = top->now;
	/* Until the next reading, which may be late. */
	json_t *request = json_pack("{ss sf}", "op", top->screen == TOP_FLOWS ? "flows" : "services", "exact_seconds",
				    top->delay_s + 10);

	if (top->screen == TOP_FLOWS)
		json_object_set_new(request, "limit", json_integer(FLOWS_MAX));
	top->now = (struct top_table){ 0 };
	if (client_list(top->cli->control, request, add, top, &top->fault)) {
		top_free(&top->now);
		top->now = before;
		return -1;
	}
	top->now.time = monotonic_seconds();
	top_compare(&top->now, &before);
	top_free(&before);
	top_sort(&top->now, top->sort, top->ascending);
	return 0;
}

/* ------------------------------------------------------------------ one screen as text */

/* What is saved stands at the right end: a terminal that would cut it has fewer columns. Its width may change. */
static bool is_narrow(const struct top *top)
{
	struct winsize size;
	int whole = top->screen == TOP_FLOWS ? 80 : 66;

	return top->cli->terminal && !ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_col && size.ws_col < whole;
}

static void format_row(const struct top *top, const struct top_row *row, char *text, size_t size, char *trend)
{
	struct units open, writes, waited, saved, misses;
	char share[16], rate[sizeof("≈") + sizeof(writes.text)];
	const char *about = !row->sampled ? "" : top->ascii ? "~" : "≈";
	/* Of one character, up to three bytes. */
	int width = 8 + (*about ? (int)strlen(about) - 1 : 0);

	snprintf(rate, sizeof(rate), "%s%s", about, units_count(&writes, row->writes_per_s));
	snprintf(share, sizeof(share), "%.0f%%", row->writes ? 100.0 * row->held / row->writes : 0.0);
	top_sparkline(row, top->ascii, trend);
	if (is_narrow(top) && top->screen == TOP_FLOWS)
		snprintf(text, size, "%5u %-18.18s %6s %7s", row->port, row->peer,
			 units_delay(&waited, row->saved_wait_us_per_s), units_count(&saved, row->saved_per_s));
	else if (is_narrow(top))
		snprintf(text, size, "%5u %-10.10s %7s %8s %4s", row->port, row->program,
			 units_delay(&waited, row->saved_wait_us_per_s), units_count(&saved, row->saved_per_s), share);
	else if (top->screen == TOP_FLOWS)
		snprintf(text, size, "%5u %-6.6s %-8.8s %-18.18s %5s %*s %6s %7s %4s %4s ", row->port, row->side,
			 row->program, row->peer, units_age(&open, row->open), width, rate,
			 units_delay(&waited, row->saved_wait_us_per_s), units_count(&saved, row->saved_per_s), share,
			 units_count(&misses, row->misses));
	else
		snprintf(text, size, "%5u %-6.6s %-10.10s %6s %*s %7s %8s %4s %4s ", row->port, row->side, row->program,
			 units_count(&open, row->open), width, rate, units_delay(&waited, row->saved_wait_us_per_s),
			 units_count(&saved, row->saved_per_s), share, units_count(&misses, row->misses));
}

/* `trend`: the title of the sparkline, which one screen has not. */
static void format_head(const struct top *top, const char *trend, char *text, size_t size)
{
	if (is_narrow(top) && top->screen == TOP_FLOWS)
		snprintf(text, size, "%5s %-18s %6s %7s", "PORT", "PEER", "TIME/s", "SAVED/s");
	else if (is_narrow(top))
		snprintf(text, size, "%5s %-10s %7s %8s %4s", "PORT", "PROGRAM", "TIME/s", "SAVED/s", "ALL");
	else if (top->screen == TOP_FLOWS)
		snprintf(text, size, "%5s %-6s %-8s %-18s %5s %8s %6s %7s %4s %4s", "PORT", "SIDE", "PROGRAM", "PEER",
			 "AGE", "WRITES/s", "TIME/s", "SAVED/s", "ALL", "LONG");
	else
		snprintf(text, size, "%5s %-6s %-10s %6s %8s %7s %8s %4s %4s%s", "PORT", "SIDE", "PROGRAM", "FLOWS",
			 "WRITES/s", "TIME/s", "SAVED/s", "ALL", "LONG", trend);
}

static void totals(const struct top *top, double *writes, double *saved, double *waited_us)
{
	*writes = *saved = *waited_us = 0;
	for (size_t i = 0; i < top->now.count; i++) {
		*writes += top->now.rows[i].writes_per_s;
		*saved += top->now.rows[i].saved_per_s;
		*waited_us += top->now.rows[i].saved_wait_us_per_s;
	}
}

static json_t *row_json(const struct top *top, const struct top_row *row)
{
	json_t *json = json_pack("{si ss ss sI sI sI sf sf sf sb sb}", "port", row->port, "side", row->side, "program",
				 row->program, "writes", (json_int_t)row->writes, "held", (json_int_t)row->held,
				 "misses", (json_int_t)row->misses, "writes_per_second", row->writes_per_s,
				 "saved_per_second", row->saved_per_s, "misses_per_second", row->misses_per_s,
				 "managed", row->managed, "sampled", row->sampled);

	json_object_set_new(json, top->screen == TOP_FLOWS ? "age_seconds" : "flows", json_integer(row->open));
	if (top->screen == TOP_FLOWS)
		json_object_set_new(json, "peer", json_string(row->peer));
	json_object_set_new(json, "saved_wait_seconds_per_second", json_real(row->saved_wait_us_per_s * 1e-6));
	return json;
}

static void pause_for(double seconds)
{
	nanosleep(&(struct timespec){ (time_t)seconds, (seconds - (time_t)seconds) * 1e9 }, NULL);
}

static int print_once(struct top *top)
{
	const struct cli *cli = top->cli;
	char line[256], trend[TOP_TREND * 3 + 1];

	if (read_now(top))
		return -1;
	pause_for(top->delay_s);
	if (read_now(top))
		return -1;
	if (!cli->json) {
		format_head(top, "", line, sizeof(line));
		printf("%s%s%s\n", table_paint(TABLE_BOLD, cli->colour), line,
		       cli->colour ? table_paint(TABLE_PLAIN, true) : "");
	}
	for (size_t i = 0; i < top->now.count; i++) {
		const struct top_row *row = &top->now.rows[i];

		if (!top_matches(row, top->filter))
			continue;
		if (cli->json) {
			json_print(stdout, row_json(top, row));
			continue;
		}
		format_row(top, row, line, sizeof(line), trend);
		printf("%.*s\n", (int)(strlen(line) - 1), line);
	}
	return 0;
}

/* ------------------------------------------------------------------ live */

static size_t count_rows(const void *context)
{
	return ((const struct top *)context)->now.count;
}

static bool row_matches(const void *context, size_t row, const char *filter)
{
	return top_matches(&((const struct top *)context)->now.rows[row], filter);
}

static const char *screen_name(const void *context)
{
	return ((const struct top *)context)->screen == TOP_FLOWS ? "flows" : "services";
}

static void summary(const void *context, char *text, size_t size)
{
	const struct top *top = context;
	const struct top_column_text *by = &top_columns[top->sort];
	double writes, saved, waited_us;
	struct units a, b, c;

	totals(top, &writes, &saved, &waited_us);
	snprintf(text, size, "%s waiting, %s packets saved/s of %s writes/s, %.0f%%; by %s%s",
		 units_delay(&c, waited_us), units_count(&b, saved), units_count(&a, writes),
		 writes > 0 ? 100 * saved / writes : 0, top->screen == TOP_FLOWS ? by->flow_title : by->title,
		 top->ascending ? ", reversed" : "");
}

static void head(const void *context, char *text, size_t size)
{
	format_head(context, " SAVED, TREND", text, size);
}

static enum live_colour show_row(const void *context, size_t at, char text[LIVE_LINE], char trend[LIVE_TREND])
{
	const struct top *top = context;
	const struct top_row *row = &top->now.rows[at];

	format_row(top, row, text, LIVE_LINE, trend);
	return row->misses_per_s > 0 ? LIVE_BAD : row->saved_per_s > 0 ? LIVE_GOOD : LIVE_PLAIN;
}

static bool handle_key(void *context, int key)
{
	struct top *top = context;

	if (key == '\t' || key == 'f') {
		top->screen = top->screen == TOP_FLOWS ? TOP_SERVICES : TOP_FLOWS;
		top_free(&top->now);
		return true;
	}
	if (key == 'R')
		top->ascending = !top->ascending;
	for (int i = 0; i < TOP_COLUMNS; i++)
		if (key == top_columns[i].key)
			top->sort = i;
	top_sort(&top->now, top->sort, top->ascending);
	return false;
}

static int read_next(void *context, struct fault *fault)
{
	struct top *top = context;
	int result = read_now(top);

	*fault = top->fault;
	return result;
}

static const char *const own_keys[] = {
	"TAB, f        services or flows",
	"p n o w t s r m  sort by port, program, open, writes, time, saved, share, held too long",
	"R             reverse the order",
	NULL,
};

static const char *const words[] = {
	"TIME: waiting for ACKs that holding spared, as long as it was measured before.",
	"SAVED: packets saved, writes that did not become a packet of their own.",
	"ALL: packets saved as a share of the writes.",
	"LONG: messages held too long: a write was held and none followed.",
	NULL,
};

static const struct live_view view = {
	.title = "autocork top",
	.keys = "q quit  h help  TAB flows/services  p n o w t s r m sort  R reverse  / filter  SPACE pause",
	.own_keys = own_keys,
	.words = words,
	.nothing = "No TCP flow has been seen yet.",
	.read = read_next,
	.count = count_rows,
	.matches = row_matches,
	.name = screen_name,
	.summary = summary,
	.head = head,
	.row = show_row,
	.key = handle_key,
};

int command_top(struct cli *cli, int argc, char **argv)
{
	struct top top = { .cli = cli, .sort = TOP_SAVED, .delay_s = 1 };
	int result;

	cli_parse(cli, &syntax, argc, argv, &top);
	setlocale(LC_CTYPE, "");
	top.ascii = strcmp(nl_langinfo(CODESET), "UTF-8");
	/* Where nothing can be drawn, one screen is what can be given. */
	if (top.once || cli->json || !cli->terminal) {
		result = print_once(&top);
	} else {
		result = read_now(&top);
		if (!result)
			result = live_run(&view, &top, top.delay_s, cli->colour, top.filter, &top.fault);
	}
	top_free(&top.now);
	return result ? cli_fail(cli, &top.fault) : EXIT_OK;
}
