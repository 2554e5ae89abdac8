/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Wrong usage with --json: the message that argp prints comes as an error object too. */
#pragma once

/* Around argp_parse(). Where it ends the program with EXIT_USAGE, the object is on standard output, the text on
 * standard error. Does nothing unless --json is among the arguments. */
void usage_catch(int argc, char **argv);
void usage_release(void);
