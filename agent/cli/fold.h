/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Sentences on a terminal go on in the next line at the beginning of a word. */
#pragma once
#include <stdio.h>

#include "cli/cli.h"

/* A stream that writes to `out` in lines of at most so many columns; blanks between words stay as they are. What goes
 * on in the next line is two columns further right than its line. NULL without memory. */
FILE *fold_open(FILE *out, size_t width);
/* stdout becomes such a stream if it is a terminal and carries no JSON. Not for what takes the terminal for itself. */
void fold_stdout(const struct cli *cli);
