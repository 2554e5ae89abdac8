/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Names that programs chose (comm, cgroup) made fit to print: any byte may be in them. */
#pragma once
#include <stddef.h>

/*
 * Copies at most `length` bytes of `from` up to its NUL, with json_text()'s escapes, cut to `size` at a whole
 * character. Returns `to`, always NUL-terminated; size must not be 0.
 */
char *text_clean(char *to, size_t size, const char *from, size_t length);
