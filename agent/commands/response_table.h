/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Responses by pattern: those of one service that were made by as many writes and option calls. Pure.
 *
 * Up to RESPONSE_EXACT calls are told apart one by one, more by doubling steps: a stream in a hundred pieces and one in
 * a hundred and one are the same pattern. Beyond RESPONSE_PATTERNS_MAX patterns, new ones share the one that has no
 * service.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "commands/response_waste.h"

#define RESPONSE_PATTERNS_MAX 512
#define RESPONSE_EXACT 8
#define RESPONSE_PROGRAM_LEN 64	/* a comm whose every byte is escaped as \xNN */

struct response_range {
	uint64_t min, max, total;
};

struct response_service {
	uint16_t port;		/* of the service: local on a server's side, remote on a client's */
	char side[8];		/* as in events */
	char program[RESPONSE_PROGRAM_LEN];
};

struct response_pattern {
	struct response_service service;
	bool other;		/* what found no room: service is empty */
	uint64_t count, overlapping, closed;
	struct response_range writes, bytes, segments;
	uint64_t needed;	/* segments */
	uint64_t retransmits, nodelay_calls, cork_calls, idle_calls;
	struct {
		uint64_t responses, amount;
	} waste[RESPONSE_WASTE_MAX];
};

struct response_table;

/* NULL: out of memory. */
struct response_table *response_table_new(void);
void response_table_free(struct response_table *table);
/* False if memory ran out; the response is then not in the table. */
bool response_table_add(struct response_table *table, const struct response_service *service,
			const struct ac_event_response *response);
size_t response_table_count(const struct response_table *table);
/* Valid until the next add. */
const struct response_pattern *response_table_at(const struct response_table *table, size_t index);
/* The most frequent first. */
void response_table_sort(struct response_table *table);
/* All patterns together. */
struct response_pattern response_table_sum(const struct response_table *table);

/* The "response" event: whose it is, and its figures. A member that is missing or out of range is 0. */
void response_read(const json_t *event, struct response_service *service, struct ac_event_response *response);
/* An item of "patterns" in docs/schema/responses.json. */
json_t *response_pattern_json(const struct response_pattern *pattern);
