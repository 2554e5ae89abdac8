/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#pragma once
#include <stdbool.h>

/* Can the terminal that curses runs on move its cursor? */
bool top_terminal_draws(void);
