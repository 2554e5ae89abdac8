/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* "Did you mean …?" Pure. */
#pragma once
#include <stddef.h>

/* How many letters must be added, removed, replaced or swapped with their neighbour to turn one word into the other. */
size_t nearest_distance(const char *a, const char *b);
