/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "lib/table.h"

#include <err.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "lib/fault.h"

struct cell {
	char *text;
	enum table_style style;
};

struct table {
	const struct table_column *columns;
	size_t column_count;
	struct cell *cells;
	size_t cell_count;
};

struct table *table_new(const struct table_column *columns, size_t count)
{
	struct table *table = calloc(1, sizeof(*table));

	if (!table)
		err(EXIT_FAILED, "table");
	table->columns = columns;
	table->column_count = count;
	return table;
}

void table_free(struct table *table)
{
	if (!table)
		return;
	for (size_t i = 0; i < table->cell_count; i++)
		free(table->cells[i].text);
	free(table->cells);
	free(table);
}

void table_cell(struct table *table, enum table_style style, const char *format, ...)
{
	va_list args;
	struct cell *cells = reallocarray(table->cells, table->cell_count + 1, sizeof(*cells));
	char *text;
	int length;

	va_start(args, format);
	length = vasprintf(&text, format, args);
	va_end(args);
	if (!length) {
		free(text);
		length = asprintf(&text, "-");
	}
	if (!cells || length < 0)
		err(EXIT_FAILED, "table");
	table->cells = cells;
	cells[table->cell_count++] = (struct cell){ text, style };
}

const char *table_paint(enum table_style style, bool colour)
{
	static const char *const codes[] = {
		[TABLE_PLAIN] = "\033[0m", [TABLE_BOLD] = "\033[1m",  [TABLE_DIM] = "\033[2m",
		[TABLE_GOOD] = "\033[32m", [TABLE_WARN] = "\033[33m", [TABLE_BAD] = "\033[31m",
	};

	return colour ? codes[style] : "";
}

/* Columns on the screen: bytes that do not continue a UTF-8 sequence. Wide characters are not worth a locale here. */
static size_t text_width(const char *text)
{
	size_t width = 0;

	for (; *text; text++)
		width += (*text & 0xc0) != 0x80;
	return width;
}

/* Prints at most `room` columns of the text, and says how many it took. */
static size_t put_text(FILE *out, const char *text, size_t room)
{
	size_t width = 0;

	for (; *text; text++) {
		bool starts = (*text & 0xc0) != 0x80;

		if (starts && width == room)
			break;
		width += starts;
		fputc(*text, out);
	}
	return width;
}

static void put_row(const struct table *table, const struct cell *cells, size_t count, const size_t *widths, FILE *out,
		    bool colour, size_t room)
{
	for (size_t c = 0; c < count; c++) {
		size_t pad = widths[c] - text_width(cells[c].text);
		bool right = table->columns[c].align == TABLE_RIGHT, last = c + 1 == count;
		size_t before = (c ? 2 : 0) + (right ? pad : 0);

		if (before >= room)
			break;
		fprintf(out, "%*s", (int)before, "");
		room -= before;
		if (cells[c].style != TABLE_PLAIN)
			fputs(table_paint(cells[c].style, colour), out);
		room -= put_text(out, cells[c].text, room);
		if (cells[c].style != TABLE_PLAIN)
			fputs(table_paint(TABLE_PLAIN, colour), out);
		if (!right && !last) {
			pad = pad < room ? pad : room;
			fprintf(out, "%*s", (int)pad, "");
			room -= pad;
		}
	}
	fputc('\n', out);
}

void table_print(const struct table *table, FILE *out, bool colour, size_t max_width)
{
	size_t columns = table->column_count, room = max_width ?: (size_t)-1;
	size_t widths[columns];
	struct cell titles[columns];

	for (size_t c = 0; c < columns; c++) {
		titles[c] = (struct cell){ (char *)table->columns[c].title, TABLE_BOLD };
		widths[c] = text_width(titles[c].text);
		for (size_t i = c; i < table->cell_count; i += columns) {
			size_t width = text_width(table->cells[i].text);

			widths[c] = width > widths[c] ? width : widths[c];
		}
	}
	put_row(table, titles, columns, widths, out, colour, room);
	for (size_t i = 0; i < table->cell_count; i += columns) {
		size_t left = table->cell_count - i;

		put_row(table, table->cells + i, left < columns ? left : columns, widths, out, colour, room);
	}
}
