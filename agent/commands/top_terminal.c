/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Apart from top.c, because <term.h> makes macros of words like `lines` and `columns`. */
#include "commands/top_terminal.h"

#include <curses.h>
#include <term.h>

bool top_terminal_draws(void)
{
	const char *move = tigetstr("cup");

	return move && move != (char *)-1;
}
