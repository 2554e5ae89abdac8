/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The coalescer's rules, one by one: what is merged, what is not, what leaves when, and in which order. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fastpath/coalesce.h"
#include "frame.h"

#define FRAMES 512
#define BASE 1000000000ull /* a clock that has run for a second */

static const uint8_t timestamp[12] = { 1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2 };

/* What left, in order. */
static struct {
	uint8_t data[FRAMES][FRAME_MAX];
	uint32_t length[FRAMES];
	int count, absorbed;
} out;
static uint8_t pool[FRAMES][FRAME_MAX];
static int pooled;
static uint8_t noise[FRAME_MAX];

static void emit(void *context, const struct coalesce_frame *frame)
{
	assert_true(out.count < FRAMES);
	memcpy(out.data[out.count], frame->data, frame->length);
	out.length[out.count++] = frame->length;
}

static void absorb(void *context, void *handle)
{
	out.absorbed++;
}

static struct coalescer *start_with(uint32_t flows, uint64_t hold_ns)
{
	struct coalesce_options options = {
		.flows = flows,
		.max_len = 1500,
		.hold_ns = hold_ns,
		.seed = 7,
		.emit = emit,
		.absorb = absorb,
	};

	out.count = out.absorbed = pooled = 0;
	for (int i = 0; i < FRAME_MAX; i++)
		noise[i] = i * 31 + (i >> 8);
	return coalescer_new(&options);
}

static struct coalescer *start(uint64_t hold_ns)
{
	return start_with(64, hold_ns);
}

static struct frame_spec plain(void)
{
	struct frame_spec spec = frame_plain();

	spec.options = timestamp;
	spec.options_length = sizeof(timestamp);
	return spec;
}

static void push_raw(struct coalescer *c, const uint8_t *data, uint32_t length, uint64_t now)
{
	struct coalesce_frame frame = {
		.handle = pool[pooled], .data = pool[pooled], .length = length, .room = FRAME_MAX
	};

	assert_true(pooled < FRAMES);
	memcpy(pool[pooled++], data, length);
	coalescer_push(c, &frame, now);
}

/* Pushes `length` bytes of noise and moves the sequence on. */
static void push(struct coalescer *c, struct frame_spec *spec, uint32_t length, uint64_t now)
{
	uint8_t frame[FRAME_MAX];

	push_raw(c, frame, frame_tcp(frame, spec, noise + spec->sequence % 256, length), now);
	spec->sequence += length;
}

static uint32_t data_at(int i)
{
	return frame_l4(out.data[i]) + (out.data[i][frame_l4(out.data[i]) + 12] >> 4) * 4;
}

static uint32_t data_length(int i)
{
	return frame_end(out.data[i]) - data_at(i);
}

static void merges_v4_v6_vlan(void **state)
{
	for (int variant = 0; variant < 12; variant++) {
		struct coalescer *c = start(0);
		struct frame_spec spec = plain();
		uint8_t want[FRAME_MAX];

		spec.v6 = variant & 1;
		spec.vlans = variant / 2 % 3;
		spec.tci = 0x6064;
		spec.options_length = variant >= 6 ? 0 : sizeof(timestamp);
		for (int i = 0; i < 4; i++)
			push(c, &spec, 33 + i, BASE); /* odd and even lengths: the sums must shift */
		assert_int_equal(out.count, 0);
		coalescer_expire(c, BASE);
		assert_int_equal(out.count, 1);
		assert_int_equal(out.absorbed, 3);
		/* Byte for byte what one write would have made. */
		spec.sequence = 1000;
		for (int i = 0, at = 0; i < 4; at += 33 + i, i++)
			memcpy(want + at, noise + (1000 + at) % 256, 33 + i);
		assert_int_equal(out.length[0], frame_tcp(pool[0], &spec, want, 33 + 34 + 35 + 36));
		assert_memory_equal(out.data[0], pool[0], out.length[0]);
		assert_int_equal(coalescer_stats(c)->merged, 3);
		coalescer_free(c);
	}
}

/* Everything by which a second segment can differ so that it must not be merged. */
struct difference {
	const char *what;
	void (*make)(struct frame_spec *spec);
};

static const uint8_t later[12] = { 1, 1, 8, 10, 0, 0, 0, 2, 0, 0, 0, 2 };
static const uint8_t signature[20] = { 19, 18, [18] = 1, 1 };
static const uint8_t broken[4] = { 1, 1, 8, 10 };
static const uint8_t authenticated[20] = { 29, 18, [18] = 1, 1 };
static const uint8_t without_length[4] = { 200, 0, 1, 1 }, of_length_one[4] = { 200, 1, 1, 1 };

/* clang-format off */
static void differ_gap(struct frame_spec *spec) { spec->sequence += 1; }
static void differ_repeat(struct frame_spec *spec) { spec->sequence -= 50; }
static void differ_ack(struct frame_spec *spec) { spec->ack += 1; }
static void differ_tos(struct frame_spec *spec) { spec->tos = 3; }
static void differ_ttl(struct frame_spec *spec) { spec->ttl = 63; }
static void differ_df(struct frame_spec *spec) { spec->dont_fragment = false; }
static void differ_tci(struct frame_spec *spec) { spec->tci ^= 0x2000; }
static void differ_options(struct frame_spec *spec) { spec->options = later; }
static void differ_no_options(struct frame_spec *spec) { spec->options_length = 0; }
static void differ_fin(struct frame_spec *spec) { spec->flags |= 1; }
static void differ_syn(struct frame_spec *spec) { spec->flags |= 2; }
static void differ_rst(struct frame_spec *spec) { spec->flags |= 4; }
static void differ_no_ack(struct frame_spec *spec) { spec->flags &= ~0x10; }
static void differ_urg(struct frame_spec *spec) { spec->flags |= 0x20; }
static void differ_ece(struct frame_spec *spec) { spec->flags |= 0x40; }
static void differ_cwr(struct frame_spec *spec) { spec->flags |= 0x80; }
/* clang-format on */

static const struct difference differences[] = {
	{ "gap", differ_gap },	     { "repeat", differ_repeat },   { "ack", differ_ack },
	{ "tos", differ_tos },	     { "ttl", differ_ttl },	    { "df", differ_df },
	{ "priority", differ_tci },  { "options", differ_options }, { "no options", differ_no_options },
	{ "fin", differ_fin },	     { "syn", differ_syn },	    { "rst", differ_rst },
	{ "no ack", differ_no_ack }, { "urg", differ_urg },	    { "ece", differ_ece },
	{ "cwr", differ_cwr },
};

static void different_ones_stay_apart(void **state)
{
	for (size_t i = 0; i < 2 * sizeof(differences) / sizeof(differences[0]); i++) {
		const struct difference *difference = &differences[i / 2];
		struct coalescer *c;
		struct frame_spec spec = plain();

		spec.v6 = i & 1;
		if (spec.v6 && difference->make == differ_df)
			continue;
		c = start(50000);
		spec.vlans = 1;
		spec.tci = 100;
		push(c, &spec, 50, BASE);
		difference->make(&spec);
		push(c, &spec, 50, BASE);
		coalescer_flush(c);
		if (out.count != 2 || out.absorbed)
			fail_msg("%s: %d frames left", difference->what, out.count);
		/* In the order in which they came, and untouched. */
		for (int k = 0; k < 2; k++)
			assert_memory_equal(out.data[k], pool[k], out.length[k]);
		coalescer_free(c);
	}
}

/* What is never held, even if alike. */
static void signed_and_broken_options_stay_apart(void **state)
{
	const struct {
		const uint8_t *options;
		uint8_t length;
	} cases[] = {
		{ signature, sizeof(signature) },
		{ authenticated, sizeof(authenticated) },
		{ broken, sizeof(broken) },
		{ without_length, sizeof(without_length) },
		{ of_length_one, sizeof(of_length_one) },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct coalescer *c = start(0);
		struct frame_spec spec = plain();

		spec.options = cases[i].options;
		spec.options_length = cases[i].length;
		push(c, &spec, 50, BASE);
		push(c, &spec, 50, BASE);
		assert_int_equal(out.count, 2);
		coalescer_free(c);
	}
}

static void pure_ack_pushes_data_out(void **state)
{
	struct coalescer *c = start(50000);
	struct frame_spec spec = plain();

	push(c, &spec, 50, BASE);
	push(c, &spec, 0, BASE);
	assert_int_equal(out.count, 2);
	assert_int_equal(data_length(0), 50);
	assert_int_equal(data_length(1), 0);
	coalescer_free(c);
}

static void window_of_the_last_and_push_of_any(void **state)
{
	static const uint8_t flags[][3] = { { 0x18, 0x10, 0x18 }, { 0x10, 0x18, 0x18 }, { 0x10, 0x10, 0x10 } };

	for (int i = 0; i < 3; i++) {
		struct coalescer *c = start(0);
		struct frame_spec spec = plain();

		spec.flags = flags[i][0];
		push(c, &spec, 51, BASE);
		spec.flags = flags[i][1];
		spec.window = 9;
		push(c, &spec, 51, BASE);
		coalescer_expire(c, BASE);
		assert_int_equal(out.count, 1);
		assert_int_equal(out.data[0][frame_l4(out.data[0]) + 13], flags[i][2]);
		assert_int_equal(get16(out.data[0] + frame_l4(out.data[0]) + 14), 9);
		assert_true(frame_sums_right(out.data[0], 6));
		coalescer_free(c);
	}
}

static void never_above_the_mtu(void **state)
{
	struct coalescer *c = start(0);
	struct frame_spec spec = plain();

	for (int i = 0; i < 60; i++)
		push(c, &spec, 100, BASE);
	coalescer_expire(c, BASE);
	/* 1500 - 20 - 32 leaves room for 14 of them. */
	assert_int_equal(out.count, 5);
	for (int i = 0; i < out.count; i++) {
		assert_true(frame_end(out.data[i]) - frame_l3(out.data[i]) <= 1500);
		assert_true(frame_sums_right(out.data[i], 6));
	}
	assert_int_equal(data_length(0), 1400);
	coalescer_free(c);
}

/* Nothing more would fit: no use in waiting. */
static void full_ones_leave_at_once(void **state)
{
	struct coalescer *c = start(50000);
	struct frame_spec spec = plain();

	push(c, &spec, 100, BASE);
	coalescer_expire(c, BASE);
	for (int i = 0; i < 14; i++) {
		assert_int_equal(out.count, 1);
		push(c, &spec, 100, BASE + 1000);
	}
	assert_int_equal(out.count, 2);
	assert_int_equal(data_length(1), 1400);
	push(c, &spec, 1448, BASE + 1000); /* an IP packet of 1500 bytes by itself */
	assert_int_equal(out.count, 3);
	push(c, &spec, 100, BASE + 1000);
	coalescer_free(c);
	assert_int_equal(out.count, 3);
	assert_int_equal(out.absorbed, 13 + 1); /* what was held in a stream when it was freed, too */
}

/* A buffer without room behind the data bounds the merge too. */
static void never_beyond_the_buffer(void **state)
{
	struct coalescer *c = start(0);
	struct frame_spec spec = plain();
	uint8_t bytes[2][FRAME_MAX];

	for (int i = 0; i < 2; i++) {
		uint32_t length = frame_tcp(bytes[i], &spec, noise, 100);
		struct coalesce_frame frame = { bytes[i], bytes[i], length, length + 99 };

		coalescer_push(c, &frame, BASE);
		spec.sequence += 100;
	}
	coalescer_expire(c, BASE);
	assert_int_equal(out.count, 2);
	coalescer_free(c);
}

static void wrong_checksums_are_passed_on_untouched(void **state)
{
	/* IP sum, TTL, TCP sum, window, data */
	static const int places[] = { 14 + 10, 14 + 8, 34 + 16, 34 + 14, 34 + 40 };

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		struct coalescer *c = start(0);
		struct frame_spec spec = plain();
		uint8_t frame[FRAME_MAX];
		uint32_t length;

		push(c, &spec, 50, BASE);
		length = frame_tcp(frame, &spec, noise, 50);
		frame[places[i]] ^= 0x40;
		push_raw(c, frame, length, BASE);
		assert_int_equal(out.count, 2);
		assert_int_equal(out.absorbed, 0);
		assert_memory_equal(out.data[1], frame, length);
		assert_int_equal(coalescer_stats(c)->bad_checksum, 1);
		coalescer_free(c);
	}
}

static void padding_of_small_frames(void **state)
{
	struct coalescer *c = start(0);
	struct frame_spec spec = plain();

	spec.options_length = 0;
	spec.pad = true;
	push(c, &spec, 1, BASE);
	push(c, &spec, 2, BASE);
	coalescer_expire(c, BASE);
	assert_int_equal(out.count, 1);
	assert_int_equal(out.length[0], 60);
	assert_int_equal(data_length(0), 3);
	for (uint32_t i = frame_end(out.data[0]); i < 60; i++)
		assert_int_equal(out.data[0][i], 0);
	assert_true(frame_sums_right(out.data[0], 6));
	coalescer_free(c);
}

static void fragment_pushes_everything_out(void **state)
{
	struct coalescer *c = start(50000);
	struct frame_spec spec = plain(), other = plain();
	uint8_t frame[FRAME_MAX];
	uint32_t length;

	other.source_port = 99;
	push(c, &spec, 50, BASE);
	push(c, &other, 50, BASE);
	length = frame_tcp(frame, &spec, noise, 50);
	frame[14 + 7] = 3; /* fragment offset 24: no ports in it */
	push_raw(c, frame, length, BASE);
	assert_int_equal(out.count, 3);
	assert_memory_equal(out.data[2], frame, length);
	assert_int_equal(coalescer_stats(c)->opaque, 1);
	assert_int_equal(coalescer_stats(c)->held, 0);
	coalescer_free(c);
}

static void other_traffic_passes_at_once(void **state)
{
	struct coalescer *c = start(50000);
	struct frame_spec spec = plain();
	uint8_t frame[FRAME_MAX] = { 0 };
	uint32_t at;

	push(c, &spec, 50, BASE);
	at = frame_head(frame, &spec, 17, 8 + 20);
	put16(frame + at + 4, 28);
	frame_sum(frame, 17, 6);
	push_raw(c, frame, at + 28, BASE);
	push_raw(c, frame, 3, BASE);
	assert_int_equal(out.count, 2);
	assert_int_equal(coalescer_stats(c)->held, 1);
	coalescer_free(c);
	assert_int_equal(out.absorbed, 1); /* what was held when it was freed */
}

/* Without a hold nothing outlives its burst; flows do not disturb each other. */
static void burst_ends_every_wait(void **state)
{
	struct coalescer *c = start(0);
	struct frame_spec a = plain(), b = plain();

	b.source_port = 4321;
	push(c, &a, 20, BASE);
	push(c, &b, 20, BASE);
	push(c, &a, 20, BASE);
	push(c, &b, 20, BASE);
	assert_true(coalescer_deadline(c) <= BASE);
	coalescer_expire(c, BASE);
	assert_int_equal(out.count, 2);
	push(c, &a, 20, BASE + 1);
	coalescer_expire(c, BASE + 1);
	assert_int_equal(out.count, 3);
	assert_true(coalescer_deadline(c) == UINT64_MAX);
	coalescer_free(c);
}

static void hold_waits_for_streams_only(void **state)
{
	struct coalescer *c = start(50000);
	struct frame_spec spec = plain();

	push(c, &spec, 20, BASE); /* alone: leaves with its burst */
	coalescer_expire(c, BASE);
	assert_int_equal(out.count, 1);
	push(c, &spec, 20, BASE + 10000); /* close behind: waits */
	coalescer_expire(c, BASE + 10000);
	assert_int_equal(out.count, 1);
	assert_true(coalescer_deadline(c) == BASE + 60000);
	push(c, &spec, 20, BASE + 40000);
	coalescer_expire(c, BASE + 59999);
	assert_int_equal(out.count, 1);
	coalescer_expire(c, BASE + 60000);
	assert_int_equal(out.count, 2);
	assert_int_equal(data_length(1), 40);
	assert_int_equal(coalescer_stats(c)->delayed, 1);
	spec.ack += 20; /* an answer came between: a conversation, not a stream */
	push(c, &spec, 20, BASE + 61000);
	coalescer_expire(c, BASE + 61000);
	assert_int_equal(out.count, 3);
	push(c, &spec, 20, BASE + 200000); /* after a pause */
	coalescer_expire(c, BASE + 200000);
	assert_int_equal(out.count, 4);
	coalescer_free(c);
}

/* Late: the caller was away longer than the hold. Nothing may join what should have left. */
static void late_segment_does_not_join(void **state)
{
	struct coalescer *c = start(50000);
	struct frame_spec spec = plain();

	push(c, &spec, 20, BASE);
	coalescer_expire(c, BASE);
	push(c, &spec, 20, BASE + 1000);
	push(c, &spec, 20, BASE + 90000);
	assert_int_equal(out.count, 2);
	coalescer_free(c);
}

static void table_is_bounded(void **state)
{
	struct coalescer *c = start(50000);
	struct frame_spec spec = plain();

	for (int i = 0; i < 200; i++) {
		spec.source_port = 1 + i;
		push(c, &spec, 20, BASE + i);
	}
	assert_true(coalescer_stats(c)->flows <= 64);
	assert_true(coalescer_stats(c)->evicted >= 200 - 64);
	coalescer_flush(c);
	assert_int_equal(out.count, 200);
	assert_int_equal(coalescer_stats(c)->held, 0);
	coalescer_free(c);
}

/* The ninth flow of a bucket takes the quietest one's place; what that one held leaves, and does not mix with the new
 * one's. */
static void evicted_flow_is_sent(void **state)
{
	struct coalescer *c = start_with(COALESCE_FLOWS_MIN, 0);
	struct frame_spec spec = plain();

	for (int i = 0; i < 9; i++) {
		spec.source_port = 1 + i;
		spec.sequence = i < 8 ? 1000 : 1020;
		push(c, &spec, 20, BASE);
	}
	assert_int_equal(out.count, 1);
	assert_memory_equal(out.data[0], pool[0], out.length[0]);
	assert_int_equal(coalescer_stats(c)->evicted, 1);
	assert_int_equal(coalescer_stats(c)->held, 8);
	assert_int_equal(out.absorbed, 0);
	coalescer_free(c);
}

static void quietest_flow_is_evicted(void **state)
{
	struct coalescer *c = start_with(COALESCE_FLOWS_MIN, 0);
	struct frame_spec spec = plain();

	for (int i = 0; i < 10; i++) {
		/* Eight flows, the first of them once more, and a ninth. */
		spec.source_port = i == 8 ? 1 : 1 + i;
		spec.sequence = 1000 + 20 * (i == 8);
		push(c, &spec, 20, BASE + i);
	}
	assert_int_equal(coalescer_stats(c)->evicted, 1);
	assert_int_equal(out.count, 2);
	assert_memory_equal(out.data[1], pool[1], out.length[1]);
	coalescer_free(c);
}

/* The place of an evicted stream makes no stream of the flow that gets it. */
static void evicted_stream_is_not_inherited(void **state)
{
	struct coalescer *c = start_with(COALESCE_FLOWS_MIN, 50000);
	struct frame_spec spec = plain();

	for (int i = 0; i < 9; i++) {
		spec.source_port = 1 + i;
		spec.sequence = 1000;
		push(c, &spec, 20, BASE + i);
		coalescer_expire(c, BASE + i);
		assert_int_equal(out.count, i + 1);
	}
	assert_int_equal(coalescer_stats(c)->evicted, 1);
	coalescer_free(c);
}

static void ended_flow_is_forgotten(void **state)
{
	struct coalescer *c = start(0);
	struct frame_spec spec = plain();

	push(c, &spec, 20, BASE);
	assert_int_equal(coalescer_stats(c)->flows, 1);
	spec.flags = 0x11;
	push(c, &spec, 20, BASE);
	assert_int_equal(coalescer_stats(c)->flows, 0);
	assert_int_equal(out.count, 2);
	coalescer_free(c);
}

static void sequence_wraps(void **state)
{
	struct coalescer *c = start(0);
	struct frame_spec spec = plain();

	spec.sequence = UINT32_MAX - 30;
	push(c, &spec, 20, BASE);
	push(c, &spec, 20, BASE);
	push(c, &spec, 20, BASE);
	coalescer_expire(c, BASE);
	assert_int_equal(out.count, 1);
	assert_int_equal(data_length(0), 60);
	coalescer_free(c);
}

static void options_are_checked(void **state)
{
	struct coalesce_options good = { .flows = 64, .max_len = 1500, .emit = emit, .absorb = absorb }, bad;

	bad = good, bad.flows = 1;
	assert_null(coalescer_new(&bad));
	assert_int_equal(errno, EINVAL);
	bad = good, bad.hold_ns = COALESCE_HOLD_MAX_NS + 1;
	assert_null(coalescer_new(&bad));
	bad = good, bad.max_len = 65536;
	assert_null(coalescer_new(&bad));
	coalescer_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(merges_v4_v6_vlan),
		cmocka_unit_test(different_ones_stay_apart),
		cmocka_unit_test(signed_and_broken_options_stay_apart),
		cmocka_unit_test(pure_ack_pushes_data_out),
		cmocka_unit_test(window_of_the_last_and_push_of_any),
		cmocka_unit_test(never_above_the_mtu),
		cmocka_unit_test(full_ones_leave_at_once),
		cmocka_unit_test(never_beyond_the_buffer),
		cmocka_unit_test(wrong_checksums_are_passed_on_untouched),
		cmocka_unit_test(padding_of_small_frames),
		cmocka_unit_test(fragment_pushes_everything_out),
		cmocka_unit_test(other_traffic_passes_at_once),
		cmocka_unit_test(burst_ends_every_wait),
		cmocka_unit_test(hold_waits_for_streams_only),
		cmocka_unit_test(late_segment_does_not_join),
		cmocka_unit_test(table_is_bounded),
		cmocka_unit_test(evicted_flow_is_sent),
		cmocka_unit_test(quietest_flow_is_evicted),
		cmocka_unit_test(evicted_stream_is_not_inherited),
		cmocka_unit_test(ended_flow_is_forgotten),
		cmocka_unit_test(sequence_wraps),
		cmocka_unit_test(options_are_checked),
	};

	return cmocka_run_group_tests_name("coalesce", tests, NULL, NULL);
}
