/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Memory that is there or the process ends: for configuration and reports, whose sizes are bounded by their parsers.
 * Running out over those leaves nothing sensible to do, and a killed agent leaves nothing behind (docs/design.md).
 */
#pragma once
#include <stddef.h>

void *memory_zeroed(size_t count, size_t size) __attribute__((malloc));
char *memory_string(const char *text) __attribute__((malloc));
char *memory_format(const char *format, ...) __attribute__((malloc, format(printf, 1, 2)));
/* Room for one element more: returns the array, moved where its capacity (a power of two, told by count) is used up. */
void *memory_room(void *array, size_t count, size_t size);
