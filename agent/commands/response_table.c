/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "commands/response_table.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>


/* Hashed as bytes: zeroed before it is filled. */
struct key {
	struct response_service service;
	uint32_t writes, nodelay_calls, cork_calls;	/* classes */
};

struct entry {
	struct key key;
	struct response_pattern pattern;
	UT_hash_handle hh;
};

struct response_table {
	struct entry *entries;		/* the hash: all but `other` */
	struct entry **order;
	struct entry *other;		/* NULL until there is no room */
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

static uint32_t class_of(uint32_t calls)
{
	uint32_t first = RESPONSE_EXACT + 1;

	if (calls < first)
		return calls;
	while (first <= calls / 2)
		first *= 2;
	return first;
}

static struct entry *entry_new(struct response_table *table)
{
	struct entry *entry = calloc(1, sizeof(*entry));

	if (entry)
		table->order[table->count++] = entry;
	return entry;
}

static struct entry *find(struct response_table *table, const struct response_service *service,
			  const struct ac_event_response *r)
{
	struct entry *entry;
	struct key key;

	memset(&key, 0, sizeof(key));
	key.service.port = service->port;
	memcpy(key.service.side, service->side, strnlen(service->side, sizeof(key.service.side) - 1));
	memcpy(key.service.program, service->program, strnlen(service->program, sizeof(key.service.program) - 1));
	key.writes = class_of(r->writes);
	key.nodelay_calls = class_of(r->nodelay_calls);
	key.cork_calls = class_of(r->cork_calls);
	HASH_FIND(hh, table->entries, &key, sizeof(key), entry);
	if (entry)
		return entry;
	/* The last place is for what finds none. */
	if (table->count >= RESPONSE_PATTERNS_MAX - !table->other) {
		if (!table->other)
			table->other = entry_new(table);
		if (table->other)
			table->other->pattern.other = true;
		return table->other;
	}
	entry = entry_new(table);
	if (!entry)
		return NULL;
	memcpy(&entry->key, &key, sizeof(key));
	entry->pattern.service = key.service;
	HASH_ADD(hh, table->entries, key, sizeof(key), entry);
	return entry;
}

static void range_add(struct response_range *range, uint64_t value, bool first)
{
	if (first || value < range->min)
		range->min = value;
	if (value > range->max)
		range->max = value;
	range->total += value;
}

bool response_table_add(struct response_table *table, const struct response_service *service,
			const struct ac_event_response *r)
{
	struct entry *entry = find(table, service, r);
	uint64_t amounts[RESPONSE_WASTE_MAX];
	struct response_pattern *p;

	if (!entry)
		return false;
	p = &entry->pattern;
	range_add(&p->writes, r->writes, !p->count);
	range_add(&p->bytes, r->bytes, !p->count);
	range_add(&p->segments, r->segments, !p->count);
	p->count++;
	p->overlapping += !!(r->flags & AC_RESPONSE_OVERLAPS);
	p->closed += !!(r->flags & AC_RESPONSE_CLOSED);
	p->needed += response_segments_needed(r);
	p->retransmits += r->retransmits;
	p->nodelay_calls += r->nodelay_calls;
	p->cork_calls += r->cork_calls;
	p->idle_calls += r->idle_calls;
	response_waste_judge(r, amounts);
	for (size_t i = 0; i < RESPONSE_WASTE_MAX; i++) {
		p->waste[i].responses += !!amounts[i];
		p->waste[i].amount += amounts[i];
	}
	return true;
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
	uint64_t left = a->pattern.count, right = b->pattern.count;

	/* Always the same order where the counts are. */
	return (left < right) - (left > right) ?: memcmp(&a->key, &b->key, sizeof(a->key));
}

void response_table_sort(struct response_table *table)
{
	qsort(table->order, table->count, sizeof(struct entry *), by_count);
}

static void range_sum(struct response_range *sum, const struct response_range *range, bool first)
{
	if (first || range->min < sum->min)
		sum->min = range->min;
	if (range->max > sum->max)
		sum->max = range->max;
	sum->total += range->total;
}

struct response_pattern response_table_sum(const struct response_table *table)
{
	struct response_pattern sum = { 0 };

	for (size_t i = 0; i < table->count; i++) {
		const struct response_pattern *p = &table->order[i]->pattern;

		range_sum(&sum.writes, &p->writes, !i);
		range_sum(&sum.bytes, &p->bytes, !i);
		range_sum(&sum.segments, &p->segments, !i);
		sum.count += p->count;
		sum.overlapping += p->overlapping;
		sum.closed += p->closed;
		sum.needed += p->needed;
		sum.retransmits += p->retransmits;
		sum.nodelay_calls += p->nodelay_calls;
		sum.cork_calls += p->cork_calls;
		sum.idle_calls += p->idle_calls;
		for (size_t w = 0; w < RESPONSE_WASTE_MAX; w++) {
			sum.waste[w].responses += p->waste[w].responses;
			sum.waste[w].amount += p->waste[w].amount;
		}
	}
	return sum;
}
