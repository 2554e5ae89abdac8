/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Waiting where the user can see it: one line on a terminal that counts down, nothing in a pipe. */
#pragma once
#include "cli/cli.h"

/* "WHAT: 12 s left" on standard error until so many seconds are over, or SIGINT was caught; the line is then
 * removed. */
void progress_wait(const struct cli *cli, const char *what, double seconds);
