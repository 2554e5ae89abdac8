/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Responses: what is waste and what not, patterns, their order and their bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "commands/response_table.h"

#define WASTE(id, amount) [AC_WASTE_##id] = amount

static const struct response_service web = { .port = 80, .side = "server", .program = "web" };

static void wastes(void **state)
{
	static const struct {
		const char *what;
		struct ac_event_response response;
		uint64_t amounts[AC_WASTE_MAX];
	} cases[] = {
		{ "one write", { .writes = 1, .bytes = 600, .segments = 1, .mss = 1448, .head_bytes = 600 }, { 0 } },
		{ "full segments", { .writes = 1, .bytes = 2896, .segments = 2, .mss = 1448 }, { 0 } },
		{ "a byte more", { .writes = 1, .bytes = 2897, .segments = 3, .mss = 1448 }, { 0 } },
		{ "one segment too many",
		  { .writes = 1, .bytes = 2896, .segments = 3, .mss = 1448 },
		  { WASTE(MORE_SEGMENTS, 1) } },
		{ "header and body",
		  { .writes = 2, .bytes = 700, .segments = 2, .mss = 1448, .head_bytes = 200, .gap_us = 999 },
		  { WASTE(HEAD_ALONE, 1), WASTE(MORE_SEGMENTS, 1) } },
		{ "a body that came later",
		  { .writes = 2, .bytes = 700, .segments = 2, .mss = 1448, .head_bytes = 200, .gap_us = 1000 },
		  { WASTE(MORE_SEGMENTS, 1) } },
		{ "a first part of half a segment",
		  { .writes = 2, .bytes = 1448 + 724, .segments = 2, .mss = 1448, .head_bytes = 724 },
		  { 0 } },
		{ "a header before a long body: the same number of segments, and alone all the same",
		  { .writes = 2, .bytes = 2000, .segments = 2, .mss = 1448, .head_bytes = 723 },
		  { WASTE(HEAD_ALONE, 1) } },
		{ "Nagle's algorithm",
		  { .writes = 2, .bytes = 700, .segments = 1, .mss = 1448, .tail_us = 40000 },
		  { WASTE(LATE_TAIL, 40000) } },
		{ "a tail in time", { .writes = 2, .bytes = 700, .segments = 1, .mss = 1448, .tail_us = 1000 }, { 0 } },
		{ "a forgotten cork",
		  { .writes = 2,
		    .bytes = 700,
		    .segments = 1,
		    .mss = 1448,
		    .tail_us = 200000,
		    .flags = AC_RESPONSE_TAIL_CORKED },
		  { WASTE(CORKED_TAIL, 200000) } },
		{ "a tail after a loss",
		  { .writes = 2, .bytes = 700, .segments = 1, .mss = 1448, .tail_us = 200000, .retransmits = 1 },
		  { 0 } },
		{ "segments of the one before",
		  { .writes = 1, .bytes = 100, .segments = 9, .mss = 1448, .flags = AC_RESPONSE_OVERLAPS },
		  { 0 } },
		{ "idle option calls",
		  { .writes = 1, .bytes = 100, .segments = 1, .mss = 1448, .nodelay_calls = 3, .idle_calls = 2 },
		  { WASTE(IDLE_OPTIONS, 2) } },
		{ "one sendfile in pieces, the first of them small",
		  { .writes = 1, .bytes = 2000, .segments = 2, .mss = 1448, .head_bytes = 200 },
		  { 0 } },
		{ "no size of a segment", { .writes = 1, .bytes = 100, .segments = 1 }, { 0 } },
		{ "as large as it gets",
		  { .writes = 1, .bytes = UINT32_MAX, .segments = UINT32_MAX, .mss = 1 },
		  { 0 } },
	};

	for (size_t i = 0; i < AC_ARRAY_SIZE(cases); i++) {
		for (size_t w = 0; w < AC_WASTE_MAX; w++) {
			uint64_t amount = ac_waste_amount(&cases[i].response, (enum ac_waste)w);

			if (amount != cases[i].amounts[w])
				fail_msg("%s: %s is %llu, not %llu", cases[i].what, response_waste_texts[w].name,
					 (unsigned long long)amount, (unsigned long long)cases[i].amounts[w]);
		}
	}
}

static void add(struct response_table *table, const struct response_service *service, uint32_t writes, uint32_t bytes)
{
	const struct ac_event_response response = {
		.writes = writes,
		.bytes = bytes,
		.segments = writes,
		.mss = 1448,
		.cork_calls = 2,
	};
	struct response_row row = { .service = *service, .calls = ac_response_calls(&response) };

	ac_response_sum_add(&row.sum, &response);
	assert_true(response_table_add(table, &row));
}

static void patterns(void **state)
{
	struct response_table *table = response_table_new();
	struct response_service other = web;
	const struct response_pattern *p;
	struct ac_response_sum sum;

	assert_non_null(table);
	other.port = 81;
	add(table, &other, 2, 50);
	add(table, &web, 2, 100);
	add(table, &web, 2, 600);
	add(table, &web, 2, 200);
	add(table, &web, 3, 200);
	add(table, &web, 3, 200);
	response_table_sort(table);
	assert_int_equal(response_table_count(table), 3);
	p = response_table_at(table, 0);
	assert_int_equal(p->service.port, 80);
	assert_int_equal(p->sum.count, 3);
	assert_int_equal(p->sum.writes.min, 2);
	assert_int_equal(p->sum.writes.max, 2);
	assert_int_equal(p->sum.bytes.min, 100);
	assert_int_equal(p->sum.bytes.max, 600);
	assert_int_equal(p->sum.bytes.total, 900);
	assert_int_equal(p->sum.segments.total, 6);
	assert_int_equal(p->sum.needed, 3);
	assert_int_equal(p->sum.cork_calls, 6);
	assert_int_equal(p->sum.waste[AC_WASTE_MORE_SEGMENTS].responses, 3);
	assert_int_equal(p->sum.waste[AC_WASTE_MORE_SEGMENTS].amount, 3);
	assert_int_equal(response_table_at(table, 1)->sum.writes.min, 3);
	assert_int_equal(response_table_at(table, 2)->service.port, 81);
	sum = response_table_sum(table);
	assert_int_equal(sum.count, 6);
	assert_int_equal(sum.writes.total, 14);
	assert_int_equal(sum.writes.min, 2);
	assert_int_equal(sum.writes.max, 3);
	assert_int_equal(sum.bytes.min, 50);
	assert_int_equal(sum.waste[AC_WASTE_MORE_SEGMENTS].amount, 8);
	response_table_free(table);
}

static void many_writes_share_a_pattern(void **state)
{
	struct response_table *table = response_table_new();

	for (uint32_t writes = 1; writes <= AC_RESPONSE_EXACT; writes++)
		add(table, &web, writes, 100);
	assert_int_equal(response_table_count(table), AC_RESPONSE_EXACT);
	/* 9 to 17 are one class, 18 to 35 the next */
	add(table, &web, 9, 100);
	add(table, &web, 17, 100);
	assert_int_equal(response_table_count(table), AC_RESPONSE_EXACT + 1);
	add(table, &web, 18, 100);
	add(table, &web, 35, 100);
	assert_int_equal(response_table_count(table), AC_RESPONSE_EXACT + 2);
	add(table, &web, 36, 100);
	add(table, &web, UINT32_MAX, 100);
	assert_int_equal(response_table_count(table), AC_RESPONSE_EXACT + 4);
	response_table_free(table);
}

static void the_table_is_bounded(void **state)
{
	struct response_table *table = response_table_new();
	struct response_service service = web;
	bool seen = false;

	for (uint32_t i = 0; i < RESPONSE_PATTERNS_MAX + 100; i++) {
		service.port = 1 + i;
		add(table, &service, 1, 100);
	}
	assert_int_equal(response_table_count(table), RESPONSE_PATTERNS_MAX);
	assert_int_equal(response_table_sum(table).count, RESPONSE_PATTERNS_MAX + 100);
	response_table_sort(table);
	for (size_t i = 0; i < RESPONSE_PATTERNS_MAX; i++) {
		const struct response_pattern *p = response_table_at(table, i);

		if (!p->other)
			continue;
		assert_false(seen);
		seen = true;
		assert_int_equal(p->sum.count, 101);
		assert_int_equal(p->service.port, 0);
	}
	assert_true(seen);
	/* what is known goes on to be counted by itself */
	service.port = 1;
	add(table, &service, 1, 100);
	response_table_sort(table);
	assert_int_equal(response_table_at(table, 1)->service.port, 1);
	assert_int_equal(response_table_at(table, 1)->sum.count, 2);
	response_table_free(table);
}

/* A sum of random responses is, in whatever parts it was made, what a plain reading of them says. */
static void sums(void **state)
{
	struct ac_response_sum whole = { 0 }, parts[3] = { 0 }, merged = { 0 };
	uint64_t bytes = 0, wasted = 0, closed = 0, overlapping = 0, least = UINT64_MAX, most = 0;

	srandom(41);
	for (int i = 0; i < 3000; i++) {
		struct ac_event_response r = {
			.writes = 1 + (uint32_t)random() % 20,
			.bytes = (uint32_t)random(),
			.segments = (uint32_t)random() % 3000000,
			.mss = 1448,
			.idle_calls = random() % 4 ? 0 : 2,
			.flags = (random() % 3 ? 0 : AC_RESPONSE_CLOSED) | (random() % 3 ? 0 : AC_RESPONSE_OVERLAPS),
		};

		bytes += r.bytes;
		least = r.bytes < least ? r.bytes : least;
		most = r.bytes > most ? r.bytes : most;
		wasted += r.idle_calls;
		closed += !!(r.flags & AC_RESPONSE_CLOSED);
		overlapping += !!(r.flags & AC_RESPONSE_OVERLAPS);
		ac_response_sum_add(&whole, &r);
		/* One of three has none. */
		ac_response_sum_add(&parts[random() % 2 * 2], &r);
	}
	for (int i = 0; i < 3; i++)
		ac_response_sum_merge(&merged, &parts[i]);
	assert_memory_equal(&merged, &whole, sizeof(whole));
	assert_int_equal(whole.count, 3000);
	assert_int_equal(whole.overlapping, overlapping);
	assert_int_equal(whole.closed, closed);
	assert_int_not_equal(closed, overlapping);
	assert_int_equal(whole.bytes.total, bytes);
	assert_int_equal(whole.bytes.min, least);
	assert_int_equal(whole.bytes.max, most);
	assert_int_equal(whole.waste[AC_WASTE_IDLE_OPTIONS].amount, wasted);
	assert_int_equal(whole.waste[AC_WASTE_IDLE_OPTIONS].responses, wasted / 2);
}

/* What comes over the socket and is not as it should be makes nothing worse than wrong. */
static void bad_rows(void **state)
{
	struct response_row row;
	json_t *json = json_pack("{ss sI sI s[s] s[i] ss}", "side", "a side of which nobody has heard", "port",
				 (json_int_t)70000, "responses", (json_int_t)-1, "calls", "many", "waste", 7, "program",
				 "a name longer than any that a kernel would ever say of a program, escaped");

	assert_non_null(json);
	response_read(json, &row);
	assert_int_equal(row.service.port, 0);
	assert_int_equal(row.sum.count, 0);
	assert_int_equal(row.calls.writes, 0);
	assert_int_equal(row.sum.waste[0].amount, 0);
	assert_int_equal(strlen(row.service.side), sizeof(row.service.side) - 1);
	assert_int_equal(strlen(row.service.program), RESPONSE_PROGRAM_LEN - 1);
	json_decref(json);
}

static void patterns_as_json(void **state)
{
	struct response_table *table = response_table_new();
	json_t *json, *waste;
	double mean;

	add(table, &web, 2, 100);
	add(table, &web, 2, 201);
	json = response_pattern_json(response_table_at(table, 0));
	assert_int_equal(json_integer_value(json_object_get(json, "responses")), 2);
	assert_int_equal(json_integer_value(json_object_get(json, "port")), 80);
	assert_int_equal(json_integer_value(json_object_get(json, "cork_calls")), 4);
	assert_int_equal(json_unpack(json_object_get(json, "bytes"), "{sf}", "mean", &mean), 0);
	assert_float_equal(mean, 150.5, 1e-9);
	waste = json_object_get(json, "waste");
	assert_int_equal(json_array_size(waste), 1);
	assert_string_equal(json_string_value(json_object_get(json_array_get(waste, 0), "name")), "more_segments");
	assert_int_equal(json_integer_value(json_object_get(json_array_get(waste, 0), "amount")), 2);
	json_decref(json);
	response_table_free(table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wastes),
		cmocka_unit_test(patterns),
		cmocka_unit_test(many_writes_share_a_pattern),
		cmocka_unit_test(the_table_is_bounded),
		cmocka_unit_test(sums),
		cmocka_unit_test(bad_rows),
		cmocka_unit_test(patterns_as_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
