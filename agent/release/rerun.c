/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "release/rerun.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *command_line(size_t *length)
{
	FILE *file = fopen("/proc/self/cmdline", "re"), *copy;
	char *line = NULL, part[4096];
	size_t size;

	if (!file)
		return NULL;
	copy = open_memstream(&line, length);
	while (copy && (size = fread(part, 1, sizeof(part), file)))
		fwrite(part, 1, size, copy);
	fclose(file);
	if (copy && fclose(copy)) {
		free(line);
		line = NULL;
	}
	return line;
}

static bool add(const char *argv[COMMAND_WORDS_MAX], size_t *count, const char *word)
{
	if (*count == COMMAND_WORDS_MAX - 1)
		return false;
	argv[(*count)++] = word;
	argv[*count] = NULL;
	return true;
}

int command_again(const char *line, size_t length, size_t own, const char *name, const char *const arguments[],
		  const char *argv[COMMAND_WORDS_MAX])
{
	size_t words = 0, loader, count = 0;
	bool fits = true;

	for (size_t i = 0; i < length; i++)
		words += !line[i];
	loader = words > own ? words - own : 0;
	for (size_t i = 0; i < loader && fits; i++, line += strlen(line) + 1)
		fits = add(argv, &count, line);
	/* Of two names the last one counts. glibc's loader has the option from 2.33 on, musl's always had it. */
	if (loader)
		fits = fits && add(argv, &count, "--argv0");
	fits = fits && add(argv, &count, name);
	if (loader)
		fits = fits && add(argv, &count, line);
	for (; *arguments && fits; arguments++)
		fits = add(argv, &count, *arguments);
	return fits ? 0 : E2BIG;
}
