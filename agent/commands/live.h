/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * A screen of rows that is drawn anew at each interval: keys, filter, scrolling, pause. What the rows are, a view says.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "lib/fault.h"

#define LIVE_LINE 256
#define LIVE_TREND 64 /* room for what stands behind a row, and may be cut off */
#define LIVE_FILTER 40

enum live_colour { LIVE_PLAIN, LIVE_GOOD, LIVE_BAD };

struct live_view {
	const char *title;
	const char *keys;				 /* the line at the bottom */
	const char *const *own_keys;			 /* lines of the help, ended by NULL: keys that it adds … */
	const char *const *words;			 /* … and what its columns mean */
	const char *nothing;				 /* said where there is no row */
	int (*read)(void *context, struct fault *fault); /* the next reading */
	size_t (*count)(const void *context);
	bool (*matches)(const void *context, size_t row, const char *filter);
	const char *(*name)(const void *context); /* of the screen, behind the time */
	void (*summary)(const void *context, char *text, size_t size);
	void (*head)(const void *context, char *text, size_t size);
	enum live_colour (*row)(const void *context, size_t row, char text[LIVE_LINE], char trend[LIVE_TREND]);
	/* A key that live_run() does not know; true: the rows are others now, and the first is at the top. */
	bool (*key)(void *context, int key);
};

/* Until the user quits. `filter` has LIVE_FILTER bytes, and says what is shown at first. Non-zero with fault: this
 * terminal cannot do it. */
int live_run(const struct live_view *view, void *context, double delay_s, bool colour, char *filter,
	     struct fault *fault);
