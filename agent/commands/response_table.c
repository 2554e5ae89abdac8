/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "commands/response_table.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

/* Hashed as bytes: zeroed before it is filled. */
struct key {
	struct response_service service;
	struct ac_response_calls calls;
};

struct entry {
	struct key key;
	struct response_pattern pattern;
	UT_hash_handle hh;
};

struct response_table {
	struct entry *entries; /* the hash: all but `other` */
	struct entry **order;
	struct entry *other; /* NULL until there is no room */
	size_t count;
};

struct response_table *response_table_new(void)
{
	struct response_table *table = calloc(1, sizeof(*table));

	if (table)
		table->order = calloc(RESPONSE_PATTERNS_MAX, sizeof(struct entry *));
	if (table && !table->order) {
		free(table);
		return NULL;
	}
	return table;
}

void response_table_free(struct response_table *table)
{
	if (!table)
		return;
	HASH_CLEAR(hh, table->entries);
	for (size_t i = 0; i < table->count; i++)
		free(table->order[i]);
	free(table->order);
	free(table);
}

static struct entry *entry_new(struct response_table *table)
{
	struct entry *entry = calloc(1, sizeof(*entry));

	if (entry)
		table->order[table->count++] = entry;
	return entry;
}

/* What finds no room, here or in the kernel. */
static struct entry *other_of(struct response_table *table)
{
	if (!table->other)
		table->other = entry_new(table);
	if (table->other)
		table->other->pattern.other = true;
	return table->other;
}

static struct entry *find(struct response_table *table, const struct response_row *row)
{
	const struct response_service *service = &row->service;
	struct entry *entry;
	struct key key;

	if (row->other)
		return other_of(table);
	memset(&key, 0, sizeof(key));
	key.service.port = service->port;
	memcpy(key.service.side, service->side, strnlen(service->side, sizeof(key.service.side) - 1));
	memcpy(key.service.program, service->program, strnlen(service->program, sizeof(key.service.program) - 1));
	key.calls = row->calls;
	HASH_FIND(hh, table->entries, &key, sizeof(key), entry);
	if (entry)
		return entry;
	/* The last place is for what finds none. */
	if (table->count >= RESPONSE_PATTERNS_MAX - !table->other)
		return other_of(table);
	entry = entry_new(table);
	if (!entry)
		return NULL;
	memcpy(&entry->key, &key, sizeof(key));
	entry->pattern.service = key.service;
	HASH_ADD(hh, table->entries, key, sizeof(key), entry);
	return entry;
}

bool response_table_add(struct response_table *table, const struct response_row *row)
{
	struct entry *entry = find(table, row);

	if (entry)
		ac_response_sum_merge(&entry->pattern.sum, &row->sum);
	return entry;
}

size_t response_table_count(const struct response_table *table)
{
	return table->count;
}

const struct response_pattern *response_table_at(const struct response_table *table, size_t index)
{
	return &table->order[index]->pattern;
}

static int by_count(const void *x, const void *y)
{
	const struct entry *a = *(struct entry *const *)x, *b = *(struct entry *const *)y;
	uint64_t left = a->pattern.sum.count, right = b->pattern.sum.count;

	/* Always the same order where the counts are. */
	return (left < right) - (left > right) ?: memcmp(&a->key, &b->key, sizeof(a->key));
}

void response_table_sort(struct response_table *table)
{
	qsort(table->order, table->count, sizeof(struct entry *), by_count);
}

struct ac_response_sum response_table_sum(const struct response_table *table)
{
	struct ac_response_sum sum = { 0 };

	for (size_t i = 0; i < table->count; i++)
		ac_response_sum_merge(&sum, &table->order[i]->pattern.sum);
	return sum;
}
