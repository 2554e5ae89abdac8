/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Responses by pattern (include/autocork/response_sum.h), of services that differ in their cgroup only together. Pure.
 *
 * Beyond RESPONSE_PATTERNS_MAX patterns, new ones share the one that has no
 * service.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "commands/response_waste.h"

#define RESPONSE_PATTERNS_MAX 512
#define RESPONSE_PROGRAM_LEN 64 /* a comm whose every byte is escaped as \xNN */

struct response_service {
	uint16_t port; /* of the service: local on a server's side, remote on a client's */
	char side[8];  /* as in events */
	char program[RESPONSE_PROGRAM_LEN];
};

struct response_pattern {
	struct response_service service;
	bool other; /* what found no room: service is empty */
	struct ac_response_sum sum;
};

struct response_table;

/* NULL: out of memory. */
struct response_table *response_table_new(void);
void response_table_free(struct response_table *table);
/* What an item of the operation "responses" says: whose the sum is, and of which pattern. */
struct response_row {
	struct response_service service;
	bool other;
	struct ac_response_calls calls;
	struct ac_response_sum sum;
};
/* False if memory ran out; the row is then not in the table. */
bool response_table_add(struct response_table *table, const struct response_row *row);
size_t response_table_count(const struct response_table *table);
/* Valid until the next add. */
const struct response_pattern *response_table_at(const struct response_table *table, size_t index);
/* The most frequent first. */
void response_table_sort(struct response_table *table);
/* All patterns together. */
struct ac_response_sum response_table_sum(const struct response_table *table);

/* A member that is missing or out of range is 0. */
void response_read(const json_t *item, struct response_row *row);
/* An item of "patterns" in docs/schema/responses.json. */
json_t *response_pattern_json(const struct response_pattern *pattern);
