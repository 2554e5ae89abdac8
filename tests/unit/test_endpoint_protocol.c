/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What the broker takes from a program as a request: nothing but whole ones, whatever else comes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "endpoint-broker/protocol.h"

static bool valid(const struct endpoint_request *request, size_t size, unsigned fds)
{
	const char *text = NULL;
	bool good = endpoint_request_valid(request, size, fds, &text);

	assert_non_null(text);
	assert_true(good == !*text);
	return good;
}

static void test_table(void **state)
{
	static const struct {
		const char *what;
		struct endpoint_request request;
		int more; /* bytes */
		unsigned fds;
		bool good;
	} table[] = {
		{ "open", { .version = ENDPOINT_VERSION, .op = ENDPOINT_OPEN }, 0, 1, true },
		{ "open without its listener", { .version = ENDPOINT_VERSION, .op = ENDPOINT_OPEN }, 0, 0, false },
		{ "open with two", { .version = ENDPOINT_VERSION, .op = ENDPOINT_OPEN }, 0, 2, false },
		{ "cut control data", { .version = ENDPOINT_VERSION, .op = ENDPOINT_OPEN }, 0, UINT32_MAX, false },
		{ "open on an interface",
		  { .version = ENDPOINT_VERSION, .op = ENDPOINT_OPEN, .interface = "eth0" },
		  0,
		  1,
		  true },
		{ "an interface without an end",
		  { .version = ENDPOINT_VERSION, .op = ENDPOINT_OPEN, .interface = { [0 ... IF_NAMESIZE - 1] = 'x' } },
		  0,
		  1,
		  false },
		{ "a last reason",
		  { .version = ENDPOINT_VERSION, .op = ENDPOINT_HANDOVER, .reason = ENDPOINT_REASON_MAX - 1 },
		  0,
		  1,
		  true },
		{ "beyond reasons",
		  { .version = ENDPOINT_VERSION, .op = ENDPOINT_HANDOVER, .reason = ENDPOINT_REASON_MAX },
		  0,
		  1,
		  false },
		{ "join", { .version = ENDPOINT_VERSION, .op = ENDPOINT_JOIN, .interface = "eth0" }, 0, 1, true },
		{ "join nothing", { .version = ENDPOINT_VERSION, .op = ENDPOINT_JOIN }, 0, 1, false },
		{ "join without its socket",
		  { .version = ENDPOINT_VERSION, .op = ENDPOINT_JOIN, .interface = "eth0" },
		  0,
		  0,
		  false },
		{ "listen", { .version = ENDPOINT_VERSION, .op = ENDPOINT_LISTEN }, 0, 1, true },
		{ "unlisten", { .version = ENDPOINT_VERSION, .op = ENDPOINT_UNLISTEN, .port = 80 }, 0, 0, true },
		{ "the last port",
		  { .version = ENDPOINT_VERSION, .op = ENDPOINT_UNLISTEN, .port = 65535 },
		  0,
		  0,
		  true },
		{ "no port", { .version = ENDPOINT_VERSION, .op = ENDPOINT_UNLISTEN }, 0, 0, false },
		{ "beyond ports",
		  { .version = ENDPOINT_VERSION, .op = ENDPOINT_UNLISTEN, .port = 65536 },
		  0,
		  0,
		  false },
		{ "unlisten with a descriptor",
		  { .version = ENDPOINT_VERSION, .op = ENDPOINT_UNLISTEN, .port = 80 },
		  0,
		  1,
		  false },
		{ "another version", { .version = ENDPOINT_VERSION + 1, .op = ENDPOINT_OPEN }, 0, 1, false },
		{ "no such op", { .version = ENDPOINT_VERSION, .op = ENDPOINT_OP_MAX }, 0, 1, false },
		{ "far beyond ops", { .version = ENDPOINT_VERSION, .op = UINT32_MAX }, 0, 1, false },
		{ "too short", { .version = ENDPOINT_VERSION, .op = ENDPOINT_OPEN }, -1, 1, false },
		{ "too long", { .version = ENDPOINT_VERSION, .op = ENDPOINT_OPEN }, 1, 1, false },
		{ "hand-over",
		  { .version = ENDPOINT_VERSION, .op = ENDPOINT_HANDOVER, .bytes = ENDPOINT_BYTES_MAX },
		  0,
		  1,
		  true },
		{ "too many bytes",
		  { .version = ENDPOINT_VERSION, .op = ENDPOINT_HANDOVER, .bytes = ENDPOINT_BYTES_MAX + 1 },
		  0,
		  1,
		  false },
		{ "nothing",
		  { .version = ENDPOINT_VERSION, .op = ENDPOINT_OPEN },
		  -(int)sizeof(struct endpoint_request),
		  1,
		  false },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (valid(&table[i].request, sizeof(table[i].request) + table[i].more, table[i].fds) != table[i].good)
			fail_msg("%s", table[i].what);
}

/* Of random bytes only what is a request is taken for one. */
static void test_noise(void **state)
{
	struct endpoint_request request;
	unsigned taken = 0;

	srandom(1);
	for (int i = 0; i < 200000; i++) {
		unsigned fds = random() % 4;

		for (size_t at = 0; at < sizeof(request); at += 4)
			((uint32_t *)&request)[at / 4] = random() & 1 ? random() : random() % (ENDPOINT_VERSION + 1);
		if (!valid(&request, random() & 1 ? sizeof(request) : random() % (2 * sizeof(request)), fds))
			continue;
		taken++;
		assert_int_equal(request.version, ENDPOINT_VERSION);
		assert_true(request.op < ENDPOINT_OP_MAX);
		assert_int_equal(fds, request.op == ENDPOINT_UNLISTEN ? 0 : 1);
		assert_true(request.op != ENDPOINT_UNLISTEN || (request.port && request.port <= 65535));
	}
	assert_true(taken > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
