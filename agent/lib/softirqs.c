/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "lib/softirqs.h"

#include <stdlib.h>
#include <string.h>

#define NAME "NET_RX:"

static uint64_t sum(const char *numbers)
{
	uint64_t total = 0;
	char *end;

	for (;; numbers = end) {
		uint64_t number = strtoull(numbers, &end, 10);

		if (end == numbers)
			return total;
		total += number;
	}
}

bool softirqs_received_in(FILE *file, uint64_t *count)
{
	char *line = NULL;
	size_t size = 0;
	bool found = false;

	while (!found && getline(&line, &size, file) > 0) {
		const char *at = line + strspn(line, " ");

		found = !strncmp(at, NAME, strlen(NAME));
		if (found)
			*count = sum(at + strlen(NAME));
	}
	free(line);
	return found;
}

bool softirqs_received(uint64_t *count)
{
	FILE *file = fopen("/proc/softirqs", "re");
	bool found = file && softirqs_received_in(file, count);

	if (file)
		fclose(file);
	return found;
}
