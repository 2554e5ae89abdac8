/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* autocork top: the services or flows that save most, live. */
#include <curses.h>
#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/client.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "commands/commands.h"
#include "commands/top_terminal.h"
#include "commands/top_view.h"
#include "lib/json.h"
#include "lib/table.h"
#include "lib/units.h"

#define FLOWS_MAX 5000	/* more would only be scrolled past */
#define ESCAPE 27

struct top {
	struct cli *cli;
	enum top_screen screen;
	enum top_column sort;
	bool ascending, once, paused, typing, ascii, help;
	double delay_s;
	char filter[40];
	size_t first;			/* row at the top of the screen */
	struct top_table now;
	struct fault fault;
	bool failed;
};

static void take_filter(const struct argp_state *state, char *text, void *input)
{
	struct top *top = input;

	if (strlen(text) >= sizeof(top->filter))
		argp_error(state, "--filter: at most %zu characters", sizeof(top->filter) - 1);
	strcpy(top->filter, text);
}

static const char *const sorts[TOP_COLUMNS + 1] = { "port", "program", "open", "writes", "saved", "share", "misses" };

static const struct cli_option options[] = {
	{ "once", 'o', 0, "Print one screen after one interval, and end", CLI_FLAG, CLI_AT(struct top, once) },
	{ "flows", 'f', 0, "Begin with the screen of flows", CLI_FLAG, .set = TOP_FLOWS, CLI_AT(struct top, screen) },
	{ "sort", 's', "COLUMN", "port, program, open, writes, saved (default), share or misses", CLI_WORD,
	  .words = sorts, CLI_AT(struct top, sort) },
	{ "filter", 'F', "TEXT", "Only rows with TEXT in port, side, program or peer", CLI_OTHER, .take = take_filter },
	{ "delay", 'd', "TIME", "Interval (default 1s)", CLI_SECONDS, .low = 0.1, .high = 3600,
	  CLI_AT(struct top, delay_s) },
	{ 0 },
};

static const struct cli_syntax syntax = {
	.options = options,
	.doc = "Shows which services, or flows, save how many packets; live, like top(1).\n"
	       "\n"
	       "Examples:\n"
	       "  autocork top\n"
	       "  autocork top --flows --filter nginx\n"
	       "  autocork top --once --json\n"
	       "\v"
	       "Keys: TAB or f services and flows; p n o w s r m sort by port, program, open, writes, saved, share, "
	       "misses; R "
	       "reverses; / filters; SPACE pauses; arrows and page keys scroll; h or ? explains; q quits.",
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
	struct timespec now;

	if (top->screen == TOP_FLOWS)
		json_object_set_new(request, "limit", json_integer(FLOWS_MAX));
	top->now = (struct top_table){ 0 };
	top->failed = client_list(top->cli->control, request, add, top, &top->fault);
	if (top->failed) {
		top_free(&top->now);
		top->now = before;
		return -1;
	}
	clock_gettime(CLOCK_MONOTONIC, &now);
	top->now.time = now.tv_sec + now.tv_nsec * 1e-9;
	top_compare(&top->now, &before);
	top_free(&before);
	top_sort(&top->now, top->sort, top->ascending);
	return 0;
}

/* ------------------------------------------------------------------ one screen as text */

static void format_row(const struct top *top, const struct top_row *row, char *text, size_t size, char *trend)
{
	struct units open, writes, saved, misses;
	char share[16];

	snprintf(share, sizeof(share), "%.0f%%", row->writes ? 100.0 * row->held / row->writes : 0.0);
	top_sparkline(row, top->ascii, trend);
	if (top->screen == TOP_FLOWS)
		snprintf(text, size, "%5u %-6.6s %-10.10s %-20.20s %6s %8s %8s %4s %4s ", row->port, row->side,
			 row->program, row->peer, units_age(&open, row->open), units_count(&writes, row->writes_per_s),
			 units_count(&saved, row->saved_per_s), share, units_count(&misses, row->misses));
	else
		snprintf(text, size, "%5u %-6.6s %-15.15s %6s %8s %8s %6s %6s ", row->port, row->side, row->program,
			 units_count(&open, row->open), units_count(&writes, row->writes_per_s),
			 units_count(&saved, row->saved_per_s), share, units_count(&misses, row->misses));
}

/* `trend`: the title of the sparkline, which one screen has not. */
static void format_head(const struct top *top, const char *trend, char *text, size_t size)
{
	if (top->screen == TOP_FLOWS)
		snprintf(text, size, "%5s %-6s %-10s %-20s %6s %8s %8s %4s %4s", "PORT", "SIDE", "PROGRAM", "PEER",
			 "AGE", "WRITES/s", "SAVED/s", "ALL", "MISS");
	else
		snprintf(text, size, "%5s %-6s %-15s %6s %8s %8s %6s %6s%s", "PORT", "SIDE", "PROGRAM", "FLOWS",
			 "WRITES/s", "SAVED/s", "OF ALL", "MISSES", trend);
}

static void totals(const struct top *top, double *writes, double *saved)
{
	*writes = *saved = 0;
	for (size_t i = 0; i < top->now.count; i++) {
		*writes += top->now.rows[i].writes_per_s;
		*saved += top->now.rows[i].saved_per_s;
	}
}

static json_t *row_json(const struct top *top, const struct top_row *row)
{
	json_t *json =
		json_pack("{si ss ss sI sI sI sf sf sf sb}", "port", row->port, "side", row->side, "program",
			  row->program, "writes", (json_int_t)row->writes, "held", (json_int_t)row->held, "misses",
			  (json_int_t)row->misses, "writes_per_second", row->writes_per_s, "saved_per_second",
			  row->saved_per_s, "misses_per_second", row->misses_per_s, "managed", row->managed);

	json_object_set_new(json, top->screen == TOP_FLOWS ? "age_seconds" : "flows", json_integer(row->open));
	if (top->screen == TOP_FLOWS)
		json_object_set_new(json, "peer", json_string(row->peer));
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

enum { PAIR_GOOD = 1, PAIR_BAD };

static size_t visible_rows(void)
{
	return LINES > 5 ? LINES - 5 : 1;
}

static size_t matching(const struct top *top)
{
	size_t count = 0;

	for (size_t i = 0; i < top->now.count; i++)
		count += top_matches(&top->now.rows[i], top->filter);
	return count;
}

static void draw_rows(const struct top *top)
{
	char line[256], trend[TOP_TREND * 3 + 1];
	size_t at = 0, shown = 0;

	for (size_t i = 0; i < top->now.count && shown < visible_rows(); i++) {
		const struct top_row *row = &top->now.rows[i];
		int attribute = row->misses_per_s > 0  ? COLOR_PAIR(PAIR_BAD)
				: row->saved_per_s > 0 ? COLOR_PAIR(PAIR_GOOD)
						       : A_NORMAL;

		if (!top_matches(row, top->filter) || at++ < top->first)
			continue;
		format_row(top, row, line, sizeof(line), trend);
		attron(attribute);
		mvaddnstr(4 + shown++, 0, line, COLS);
		attroff(attribute);
		if ((int)strlen(line) + 4 < COLS)
			addstr(trend); /* ncurses cuts it at the edge; nothing follows */
	}
	if (!shown)
		mvaddstr(4, 0, *top->filter ? "Nothing matches the filter." : "No TCP flow has been seen yet.");
}

static void draw(const struct top *top)
{
	double writes, saved;
	char line[256];
	struct units a, b;
	time_t now = time(NULL);
	struct tm local;

	erase();
	totals(top, &writes, &saved);
	localtime_r(&now, &local);
	attron(A_BOLD);
	mvaddstr(0, 0, "autocork top");
	attroff(A_BOLD);
	printw("  %02d:%02d:%02d  %s%s", local.tm_hour, local.tm_min, local.tm_sec,
	       top->screen == TOP_FLOWS ? "flows" : "services", top->paused ? "  (paused)" : "");
	if (top->failed) {
		attron(COLOR_PAIR(PAIR_BAD) | A_BOLD);
		mvaddnstr(1, 0, top->fault.text, COLS);
		attroff(COLOR_PAIR(PAIR_BAD) | A_BOLD);
	} else {
		const struct top_column_text *by = &top_columns[top->sort];

		mvprintw(1, 0, "%s writes/s, %s packets saved/s, %.0f%%; by %s%s", units_count(&a, writes),
			 units_count(&b, saved), writes > 0 ? 100 * saved / writes : 0,
			 top->screen == TOP_FLOWS ? by->flow_title : by->title,
			 top->ascending ? ", reversed" : "");
	}
	if (top->typing || *top->filter)
		mvprintw(2, 0, "filter: %s%s", top->filter, top->typing ? "_" : "");
	format_head(top, " SAVED, TREND", line, sizeof(line));
	attron(A_REVERSE);
	mvprintw(3, 0, "%-*.*s", COLS, COLS, line);
	attroff(A_REVERSE);
	draw_rows(top);
	attron(A_DIM);
	mvaddnstr(LINES - 1, 0,
		  "q quit  h help  TAB flows/services  p n o w s r m sort  R reverse  / filter  SPACE pause", COLS);
	attroff(A_DIM);
	refresh();
}

static void type_filter(struct top *top, int key)
{
	size_t length = strlen(top->filter);

	if (key == '\n' || key == KEY_ENTER) {
		top->typing = false;
	} else if (key == ESCAPE) {
		top->typing = false;
		*top->filter = '\0';
	} else if ((key == KEY_BACKSPACE || key == 127 || key == '\b') && length) {
		top->filter[length - 1] = '\0';
	} else if (key >= ' ' && key < 127 && length + 1 < sizeof(top->filter)) {
		top->filter[length] = key;
		top->filter[length + 1] = '\0';
	}
	top->first = 0;
}

static void scroll_by(struct top *top, long rows)
{
	size_t count = matching(top), most = count > visible_rows() ? count - visible_rows() : 0;
	long first = (long)top->first + rows;

	top->first = first < 0 ? 0 : (size_t)first > most ? most : (size_t)first;
}

static void switch_screen(struct top *top)
{
	top->screen = top->screen == TOP_FLOWS ? TOP_SERVICES : TOP_FLOWS;
	top->first = 0;
	top_free(&top->now);
	read_now(top);
}

/* One line for each key, and what the columns are. */
static void draw_help(void)
{
	static const char *const lines[] = {
		"TAB, f        services or flows",
		"p n o w s r m sort by port, program, open, writes, saved, share, misses",
		"R             reverse the order",
		"/             show only rows with this text; ESC shows all again",
		"SPACE         pause",
		"arrows, pages scroll",
		"h, ?          this help; any key leaves it",
		"q             quit",
		"",
		"SAVED: packets saved, writes that did not become a packet of their own.",
		"OF ALL: packets saved as a share of the writes.",
		"MISSES: messages held too long: a write was held and none followed.",
	};

	erase();
	attron(A_BOLD);
	mvaddstr(0, 0, "autocork top: keys");
	attroff(A_BOLD);
	for (int i = 0; i < (int)(sizeof(lines) / sizeof(lines[0])) && i + 2 < LINES; i++)
		mvaddnstr(i + 2, 0, lines[i], COLS);
	refresh();
}

/* False to quit. */
static bool handle_key(struct top *top, int key)
{
	if (top->help) {
		top->help = false;
		return true;
	}
	if (top->typing) {
		type_filter(top, key);
		return true;
	}
	switch (key) {
	case 'q':
		return false;
	case '\t':
	case 'f':
		switch_screen(top);
		return true;
	case 'h':
	case '?':
		top->help = true;
		return true;
	case 'R':
		top->ascending = !top->ascending;
		break;
	case '/':
		top->typing = true;
		break;
	case ' ':
		top->paused = !top->paused;
		break;
	case ESCAPE:
		*top->filter = '\0';
		break;
	case KEY_DOWN:
		scroll_by(top, 1);
		break;
	case KEY_UP:
		scroll_by(top, -1);
		break;
	case KEY_NPAGE:
		scroll_by(top, visible_rows());
		break;
	case KEY_PPAGE:
		scroll_by(top, -(long)visible_rows());
		break;
	default:
		for (int i = 0; i < TOP_COLUMNS; i++)
			if (key == top_columns[i].key)
				top->sort = i;
	}
	top_sort(&top->now, top->sort, top->ascending);
	return true;
}

static double clock_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec * 1e-9;
}

static int live(struct top *top)
{
	double due = clock_s() + top->delay_s, left;
	/* initscr() would end the program, with a message of its own. */
	SCREEN *screen = newterm(NULL, stdout, stdin);
	int key;

	if (!screen)
		return fault_set(
			&top->fault, EXIT_FAILED,
			"top: TERM=%s: no such terminal is known here: set TERM, or take one screen with --once",
			getenv("TERM") ?: "");
	/* `dumb` is known, and everything would be drawn over one line. */
	if (!top_terminal_draws()) {
		endwin();
		delscreen(screen);
		return fault_set(
			&top->fault, EXIT_FAILED,
			"top: TERM=%s: this terminal cannot move its cursor: set TERM, or take one screen with --once",
			getenv("TERM") ?: "");
	}
	cbreak();
	noecho();
	keypad(stdscr, TRUE);
	curs_set(0);
	set_escdelay(50);
	if (top->cli->colour && has_colors()) {
		start_color();
		use_default_colors();
		init_pair(PAIR_GOOD, COLOR_GREEN, -1);
		init_pair(PAIR_BAD, COLOR_RED, -1);
	}
	/* ncurses has a handler of its own, which ends the program with 1. */
	interrupt_catch(NULL);
	while (!interrupt_came()) {
		if (top->help)
			draw_help();
		else
			draw(top);
		left = due - clock_s();
		timeout(left > 0 ? (int)(left * 1000) + 1 : 0);
		key = getch();
		if (key != ERR && key != KEY_RESIZE && !handle_key(top, key))
			break;
		if (clock_s() < due)
			continue;
		due = clock_s() + top->delay_s;
		if (!top->paused)
			read_now(top);
	}
	endwin();
	delscreen(screen);
	interrupt_finish();
	return 0;
}

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
			result = live(&top);
	}
	top_free(&top.now);
	return result ? cli_fail(cli, &top.fault) : EXIT_OK;
}
