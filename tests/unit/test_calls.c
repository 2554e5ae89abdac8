/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Write calls: which counters each kind moves, where a call begins and ends, and how the FIN is left out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <autocork/call.h>

#include "telemetry/budget.h"

#define MSS 1448

/* What a call of `bytes` must add; everything else must stay. */
struct expected {
	const char *what;
	uint8_t call;
	uint32_t bytes;
	uint64_t writes, written, small, more, spliced, zerocopy, large;
};

static const struct expected cases[] = {
	{ "a small write", AC_CALL_OPEN, 20, .writes = 1, .written = 20, .small = 1 },
	{ "a byte below a segment", AC_CALL_OPEN, MSS - 1, .writes = 1, .written = MSS - 1, .small = 1 },
	{ "a segment", AC_CALL_OPEN, MSS, .writes = 1, .written = MSS },
	{ "a byte below a large one", AC_CALL_OPEN, AC_LARGE_WRITE - 1, .writes = 1, .written = AC_LARGE_WRITE - 1 },
	{ "a large one", AC_CALL_OPEN, AC_LARGE_WRITE, .writes = 1, .written = AC_LARGE_WRITE,
	  .large = AC_LARGE_WRITE },
	{ "sendfile", AC_CALL_OPEN | AC_CALL_SPLICED, 65536, .writes = 1, .written = 65536, .spliced = 65536 },
	{ "sendfile with more", AC_CALL_OPEN | AC_CALL_SPLICED | AC_CALL_MORE, 100, .writes = 1, .written = 100,
	  .small = 1, .more = 1, .spliced = 100 },
	{ "zero copy", AC_CALL_OPEN | AC_CALL_ZEROCOPY, 20000, .writes = 1, .written = 20000, .zerocopy = 20000 },
	{ "MSG_MORE", AC_CALL_OPEN | AC_CALL_MORE, 20, .writes = 1, .written = 20, .small = 1, .more = 1 },
	{ "TCP_CORK", AC_CALL_OPEN | AC_CALL_CORKED, 20, .writes = 1, .written = 20, .small = 1 },
	{ "managed: the gate has the write and its bytes", AC_CALL_OPEN | AC_CALL_GATED, 20, .small = 1 },
	{ "managed, MSG_MORE: the gate has the bytes only", AC_CALL_OPEN | AC_CALL_GATED | AC_CALL_MORE, 20,
	  .writes = 1, .small = 1, .more = 1 },
	{ "managed, TCP_CORK", AC_CALL_OPEN | AC_CALL_GATED | AC_CALL_CORKED, 20, .writes = 1, .small = 1 },
	{ "managed, large", AC_CALL_OPEN | AC_CALL_GATED, 70000, .large = 70000 },
};

static void check_counters(uint64_t weight)
{
	for (size_t i = 0; i < AC_ARRAY_SIZE(cases); i++) {
		const struct expected *e = &cases[i];
		struct ac_service_stats stats, wanted;

		memset(&stats, 0, sizeof(stats));
		memset(&wanted, 0, sizeof(wanted));
		wanted.writes = e->writes;
		wanted.written_bytes = e->written;
		wanted.small_writes = e->small;
		wanted.more_writes = e->more;
		wanted.spliced_bytes = e->spliced;
		wanted.zerocopy_bytes = e->zerocopy;
		wanted.large_copied_bytes = e->large;
		wanted.write_size[ac_bucket(e->bytes)] = 1;
		wanted.sized_bytes = e->bytes;
		for (size_t k = 0; k < sizeof(wanted) / sizeof(__u64); k++)
			((__u64 *)&wanted)[k] *= weight;
		if (ac_call_count(&stats, e->call, e->bytes, MSS, weight) != !!e->writes)
			fail_msg("%s: counts among the flow's writes, or not", e->what);
		if (memcmp(&stats, &wanted, sizeof(stats)))
			fail_msg("%s: other counters than expected", e->what);
	}
}

static void counters(void **state)
{
	check_counters(1);
	/* of a sample: more than fits in 32 bits */
	check_counters(AC_WEIGHT_MAX);
	check_counters(1 << 20);
	/* not in the sample */
	check_counters(0);
}

static void weights(void **state)
{
	assert_int_equal(ac_flow_weight(AC_MODE_OBSERVE, 1), 1);
	assert_int_equal(ac_flow_weight(AC_MODE_OBSERVE, 0), 0);
	assert_int_equal(ac_flow_weight(AC_MODE_OBSERVE, AC_WEIGHT_MAX), AC_WEIGHT_MAX);
	assert_int_equal(ac_flow_weight(AC_MODE_AUTOCORK, 0), 1);
	assert_int_equal(ac_flow_weight(AC_MODE_AUTOCORK, 16), 1);
	/* The strictest sample fits in what a flow has for its weight. */
	assert_int_equal(1 << BUDGET_SHIFT_MAX, AC_WEIGHT_MAX);
	assert_int_equal((__typeof__(((struct ac_flow *)0)->weight))AC_WEIGHT_MAX, AC_WEIGHT_MAX);
}

static void ends(void **state)
{
	/* From 100 before the sequence numbers wrap. */
	const uint32_t seq = (uint32_t)-100;
	struct ac_flow f = {};

	assert_int_equal(ac_call_bytes(&f, seq + 5, false), 0);
	ac_call_begin(&f, seq, 300, AC_CALL_OPEN);
	assert_int_equal(ac_call_bytes(&f, seq, false), 0);
	assert_int_equal(ac_call_bytes(&f, seq, true), 0);
	assert_int_equal(ac_call_bytes(&f, seq + 150, false), 150);
	/* It queued 149, then came the FIN. */
	assert_int_equal(ac_call_bytes(&f, seq + 150, true), 149);
	assert_int_equal(ac_call_bytes(&f, seq + 300, false), 300);
	/* Whole, then the FIN; whole, and others' writes behind it. */
	assert_int_equal(ac_call_bytes(&f, seq + 301, true), 300);
	assert_int_equal(ac_call_bytes(&f, seq + 1000, false), 300);
}

static void pieces(void **state)
{
	const uint32_t seq = 5000;
	struct ac_flow f = {};

	assert_false(ac_call_goes_on(&f, seq, seq + 300, true));
	ac_call_begin(&f, seq, 300, AC_CALL_OPEN);
	/* The next piece of it: what is left is less, its end is the same. */
	assert_true(ac_call_goes_on(&f, seq + 100, seq + 300, false));
	assert_false(ac_call_goes_on(&f, seq + 100, seq + 301, false));
	/* Nothing was queued in between: tried again after EAGAIN, unless the call waited. */
	assert_false(ac_call_goes_on(&f, seq, seq + 300, false));
	assert_true(ac_call_goes_on(&f, seq, seq + 300, true));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counters),
		cmocka_unit_test(weights),
		cmocka_unit_test(ends),
		cmocka_unit_test(pieces),
	};

	return cmocka_run_group_tests_name("write calls", tests, NULL, NULL);
}
