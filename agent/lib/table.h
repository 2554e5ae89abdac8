/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The one printer of text tables: columns as wide as their widest cell, a style per cell, colours only where asked for.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum table_align { TABLE_LEFT, TABLE_RIGHT };
enum table_style { TABLE_PLAIN, TABLE_BOLD, TABLE_DIM, TABLE_GOOD, TABLE_WARN, TABLE_BAD };

struct table_column {
	const char *title;
	enum table_align align;
};

struct table;

/* The columns must outlive the table. Running out of memory ends the program: the tables of a command line are small.
 */
struct table *table_new(const struct table_column *columns, size_t count);
void table_free(struct table *table);
/* The next cell, from left to right and row by row. An empty cell is shown as "-". */
void table_cell(struct table *table, enum table_style style, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* max_width: lines are cut there; 0 = never. */
void table_print(const struct table *table, FILE *out, bool colour, size_t max_width);

/* The escape sequence that starts a style, or "" where there is no colour; TABLE_PLAIN's ends every other. */
const char *table_paint(enum table_style style, bool colour);
