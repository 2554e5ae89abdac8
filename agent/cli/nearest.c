/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "cli/nearest.h"

#include <string.h>

#define LONGEST 63 /* of a word; what follows is not looked at */

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* The optimal string alignment distance, three rows at a time. */
size_t nearest_distance(const char *a, const char *b)
{
	size_t rows[3][LONGEST + 1], m = strnlen(a, LONGEST), n = strnlen(b, LONGEST);
	size_t *before = rows[0], *last = rows[1], *row = rows[2], *oldest;

	for (size_t j = 0; j <= n; j++)
		last[j] = j;
	for (size_t i = 1; i <= m; i++) {
		row[0] = i;
		for (size_t j = 1; j <= n; j++) {
			row[j] = least(last[j - 1] + (a[i - 1] != b[j - 1]), least(last[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = least(row[j], before[j - 2] + 1);
		}
		oldest = before;
		before = last;
		last = row;
		row = oldest;
	}
	return last[n];
}
