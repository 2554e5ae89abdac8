/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "commands/live.h"

#include <autocork/types.h>
#include <curses.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/interrupt.h"
#include "cli/options.h"
#include "commands/top_terminal.h"
#include "lib/clock.h"

#define ESCAPE 27

struct live {
	const struct live_view *view;
	void *context;
	char *filter;
	bool paused, typing, help;
	size_t first;	    /* row at the top of the screen */
	struct fault fault; /* of the last reading */
	bool failed;
};

static const short pairs[] = { [LIVE_GOOD] = COLOR_GREEN, [LIVE_BAD] = COLOR_RED };

static int paint(enum live_colour colour)
{
	return colour == LIVE_PLAIN ? A_NORMAL : COLOR_PAIR(colour);
}

static void read_now(struct live *live)
{
	live->failed = live->view->read(live->context, &live->fault);
}

/* ------------------------------------------------------------------ drawing */

static size_t visible_rows(void)
{
	return LINES > 5 ? LINES - 5 : 1;
}

static size_t matching(const struct live *live)
{
	size_t count = 0;

	for (size_t i = 0; i < live->view->count(live->context); i++)
		count += live->view->matches(live->context, i, live->filter);
	return count;
}

static void draw_rows(const struct live *live)
{
	char line[LIVE_LINE], trend[LIVE_TREND];
	size_t at = 0, shown = 0, count = live->view->count(live->context);

	for (size_t i = 0; i < count && shown < visible_rows(); i++) {
		int attribute;

		if (!live->view->matches(live->context, i, live->filter) || at++ < live->first)
			continue;
		*trend = '\0';
		attribute = paint(live->view->row(live->context, i, line, trend));
		attron(attribute);
		mvaddnstr(4 + shown++, 0, line, COLS);
		attroff(attribute);
		if ((int)strlen(line) + 4 < COLS)
			addstr(trend); /* ncurses cuts it at the edge; nothing follows */
	}
	if (!shown)
		mvaddstr(4, 0, *live->filter ? "Nothing matches the filter." : live->view->nothing);
}

static void draw(const struct live *live)
{
	char line[LIVE_LINE];
	time_t now = time(NULL);
	struct tm local;

	erase();
	localtime_r(&now, &local);
	attron(A_BOLD);
	mvaddstr(0, 0, live->view->title);
	attroff(A_BOLD);
	printw("  %02d:%02d:%02d  %s%s", local.tm_hour, local.tm_min, local.tm_sec, live->view->name(live->context),
	       live->paused ? "  (paused)" : "");
	if (live->failed) {
		attron(paint(LIVE_BAD) | A_BOLD);
		mvaddnstr(1, 0, live->fault.text, COLS);
		attroff(paint(LIVE_BAD) | A_BOLD);
	} else {
		live->view->summary(live->context, line, sizeof(line));
		mvaddnstr(1, 0, line, COLS);
	}
	if (live->typing || *live->filter)
		mvprintw(2, 0, "filter: %s%s", live->filter, live->typing ? "_" : "");
	live->view->head(live->context, line, sizeof(line));
	attron(A_REVERSE);
	mvprintw(3, 0, "%-*.*s", COLS, COLS, line);
	attroff(A_REVERSE);
	draw_rows(live);
	attron(A_DIM);
	mvaddnstr(LINES - 1, 0, live->view->keys, COLS);
	attroff(A_DIM);
	refresh();
}

static const char *const shared_keys[] = {
	"/             show only rows with this text; ESC shows all again",
	"SPACE         pause",
	"arrows, pages scroll",
	"h, ?          this help; any key leaves it",
	"q             quit",
	"",
	NULL,
};

/* One line for each key, and what the columns are. */
static void draw_help(const struct live *live)
{
	const char *const *const parts[] = { live->view->own_keys, shared_keys, live->view->words };
	int y = 2;

	erase();
	attron(A_BOLD);
	mvprintw(0, 0, "%s: keys", live->view->title);
	attroff(A_BOLD);
	for (size_t i = 0; i < AC_ARRAY_SIZE(parts); i++)
		for (const char *const *line = parts[i]; *line && y < LINES; line++)
			mvaddnstr(y++, 0, *line, COLS);
	refresh();
}

/* ------------------------------------------------------------------ keys */

static void type_filter(struct live *live, int key)
{
	size_t length = strlen(live->filter);

	if (key == '\n' || key == KEY_ENTER) {
		live->typing = false;
	} else if (key == ESCAPE) {
		live->typing = false;
		*live->filter = '\0';
	} else if ((key == KEY_BACKSPACE || key == 127 || key == '\b') && length) {
		live->filter[length - 1] = '\0';
	} else if (key >= ' ' && key < 127 && length + 1 < LIVE_FILTER) {
		live->filter[length] = key;
		live->filter[length + 1] = '\0';
	}
	live->first = 0;
}

static void scroll_by(struct live *live, long rows)
{
	size_t count = matching(live), most = count > visible_rows() ? count - visible_rows() : 0;
	long first = (long)live->first + rows;

	live->first = first < 0 ? 0 : (size_t)first > most ? most : (size_t)first;
}

/* False to quit. */
static bool handle_key(struct live *live, int key)
{
	if (live->help) {
		live->help = false;
		return true;
	}
	if (live->typing) {
		type_filter(live, key);
		return true;
	}
	switch (key) {
	case 'q':
		return false;
	case 'h':
	case '?':
		live->help = true;
		break;
	case '/':
		live->typing = true;
		break;
	case ' ':
		live->paused = !live->paused;
		break;
	case ESCAPE:
		*live->filter = '\0';
		break;
	case KEY_DOWN:
		scroll_by(live, 1);
		break;
	case KEY_UP:
		scroll_by(live, -1);
		break;
	case KEY_NPAGE:
		scroll_by(live, visible_rows());
		break;
	case KEY_PPAGE:
		scroll_by(live, -(long)visible_rows());
		break;
	default:
		if (live->view->key(live->context, key)) {
			live->first = 0;
			read_now(live);
		}
	}
	return true;
}

/* ------------------------------------------------------------------ the loop */

static void set_up(bool colour)
{
	cbreak();
	noecho();
	keypad(stdscr, TRUE);
	curs_set(0);
	set_escdelay(50);
	if (colour && has_colors()) {
		start_color();
		use_default_colors();
		for (short pair = LIVE_GOOD; pair <= LIVE_BAD; pair++)
			init_pair(pair, pairs[pair], -1);
	}
	/* ncurses has a handler of its own, which ends the program with 1. */
	interrupt_catch(NULL);
}

int live_run(const struct live_view *view, void *context, double delay_s, bool colour, char *filter,
	     struct fault *fault)
{
	struct live live = { .view = view, .context = context, .filter = filter };
	double due = monotonic_seconds() + delay_s, left;
	/* initscr() would end the program, with a message of its own. */
	SCREEN *screen = newterm(NULL, stdout, stdin);
	int key;

	if (!screen)
		return fault_set(
			fault, EXIT_FAILED,
			"top: TERM=%s: no such terminal is known here: set TERM, or take one screen with --once",
			getenv("TERM") ?: "");
	/* `dumb` is known, and everything would be drawn over one line. */
	if (!top_terminal_draws()) {
		endwin();
		delscreen(screen);
		return fault_set(
			fault, EXIT_FAILED,
			"top: TERM=%s: this terminal cannot move its cursor: set TERM, or take one screen with --once",
			getenv("TERM") ?: "");
	}
	set_up(colour);
	while (!interrupt_came()) {
		if (live.help)
			draw_help(&live);
		else
			draw(&live);
		left = due - monotonic_seconds();
		timeout(left > 0 ? (int)(left * 1000) + 1 : 0);
		key = getch();
		if (key != ERR && key != KEY_RESIZE && !handle_key(&live, key))
			break;
		if (monotonic_seconds() < due)
			continue;
		due = monotonic_seconds() + delay_s;
		if (!live.paused)
			read_now(&live);
	}
	endwin();
	delscreen(screen);
	interrupt_finish();
	return 0;
}
