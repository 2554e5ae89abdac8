/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "policy/strings.h"

#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"

void strings_append(struct policy_strings *strings, const char *text)
{
	strings->list = memory_room(strings->list, strings->count, sizeof(*strings->list));
	strings->list[strings->count++] = memory_string(text);
}

static int string_order(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void strings_unite(struct policy_strings *strings)
{
	size_t kept = 0;

	if (!strings->count)
		return;
	qsort(strings->list, strings->count, sizeof(*strings->list), string_order);
	for (size_t i = 0; i < strings->count; i++) {
		if (kept && !strcmp(strings->list[kept - 1], strings->list[i]))
			free(strings->list[i]);
		else
			strings->list[kept++] = strings->list[i];
	}
	/* Room is told by the count (lib/memory.h): what is left is a list of its own. */
	if (kept < strings->count) {
		struct policy_strings all = { strings->list, kept };

		*strings = (struct policy_strings){ 0 };
		for (size_t i = 0; i < kept; i++)
			strings_append(strings, all.list[i]);
		strings_free(&all);
	}
}

bool strings_equal(const struct policy_strings *a, const struct policy_strings *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (strcmp(a->list[i], b->list[i]))
			return false;
	return true;
}

void strings_free(struct policy_strings *strings)
{
	for (size_t i = 0; i < strings->count; i++)
		free(strings->list[i]);
	free(strings->list);
	*strings = (struct policy_strings){ 0 };
}
