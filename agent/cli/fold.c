/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "cli/fold.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>

#define HANG 2
#define NARROW 20 /* columns below which the terminal breaks the lines itself */

struct fold {
	FILE *out;
	size_t width;
	size_t column; /* of the line, where the next letter goes */
	size_t indent; /* of the line's first word */
	size_t blanks; /* before the word that is not written yet … */
	char word[256];
	size_t length, columns; /* … its bytes, and its width on the screen */
	bool begun;		/* the line has a word */
	bool escape;		/* inside a sequence, which takes no room */
};

static void put_word(struct fold *fold)
{
	size_t hang = fold->indent + HANG < fold->width / 2 ? fold->indent + HANG : 0;

	if (!fold->length)
		return;
	if (fold->column + fold->blanks + fold->columns > fold->width && fold->column) {
		fputc('\n', fold->out);
		fold->column = 0;
		fold->blanks = hang;
	}
	fprintf(fold->out, "%*s%.*s", (int)fold->blanks, "", (int)fold->length, fold->word);
	fold->column += fold->blanks + fold->columns;
	fold->blanks = fold->length = fold->columns = 0;
}

static void put_end(struct fold *fold, char letter)
{
	put_word(fold);
	fputc(letter, fold->out);
	fold->column = fold->blanks = fold->indent = 0;
	fold->begun = false;
}

static void put_letter(struct fold *fold, char letter)
{
	if (fold->length == sizeof(fold->word))
		put_word(fold);
	fold->word[fold->length++] = letter;
	if (fold->escape) {
		fold->escape = !isalpha((unsigned char)letter);
		return;
	}
	if (letter == '\033') {
		fold->escape = true;
		return;
	}
	if (!fold->begun)
		fold->indent = fold->blanks;
	fold->begun = true;
	/* A byte that continues a UTF-8 sequence takes no room. */
	fold->columns += (letter & 0xc0) != 0x80;
}

static ssize_t fold_write(void *cookie, const char *text, size_t size)
{
	struct fold *fold = cookie;

	for (size_t i = 0; i < size; i++) {
		if (text[i] == '\n' || text[i] == '\r') {
			put_end(fold, text[i]);
		} else if (text[i] == ' ' && !fold->escape) {
			put_word(fold);
			fold->blanks++;
		} else {
			put_letter(fold, text[i]);
		}
	}
	/* The stream was flushed: what is there is to be seen. */
	put_word(fold);
	return fflush(fold->out) ? 0 : (ssize_t)size;
}

static int fold_close(void *cookie)
{
	free(cookie);
	return 0;
}

FILE *fold_open(FILE *out, size_t width)
{
	struct fold *fold = calloc(1, sizeof(*fold));
	FILE *stream;

	if (!fold)
		return NULL;
	*fold = (struct fold){ .out = out, .width = width };
	stream = fopencookie(fold, "w", (cookie_io_functions_t){ .write = fold_write, .close = fold_close });
	if (!stream)
		free(fold);
	else
		setvbuf(stream, NULL, _IOLBF, BUFSIZ);
	return stream;
}

void fold_stdout(const struct cli *cli)
{
	FILE *stream = cli->terminal && !cli->json && cli->width >= NARROW ? fold_open(stdout, cli->width) : NULL;

	if (stream)
		stdout = stream;
}
