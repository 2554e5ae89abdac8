/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The command line that runs this program again under another name. A program that a dynamic loader was told to run
 * (`ld.so --library-path DIR PROGRAM`) is that loader to the kernel, /proc/self/exe too: the loader gets the same words
 * again.
 */
#pragma once
#include <stddef.h>

#define COMMAND_WORDS_MAX 24

/* The words that the kernel started this process with, each with 0 at its end; NULL if they cannot be had. The caller
 * frees it. */
char *command_line(size_t *length);
/*
 * Fills `argv` with what /proc/self/exe is to be run with, NULL at its end; the words are those of `line` and of the
 * caller. `own` is how many of `line` main() got. Returns 0 or a number as in errno.
 */
int command_again(const char *line, size_t length, size_t own, const char *name, const char *const arguments[],
		  const char *argv[COMMAND_WORDS_MAX]);
