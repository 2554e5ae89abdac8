/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The coalescer makes no packet that the sender could not have sent: see fastpath/mss.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fastpath/coalesce.h"
#include "fastpath/mss.h"
#include "frame.h"

#define FRAMES 256
#define NOW 1000000000ull

static uint8_t pool[FRAMES][FRAME_MAX];
static int pooled;
static uint32_t largest; /* IP packet that left */
static struct mss_table *table;
static struct coalescer *c;

static void emit(void *context, const struct coalesce_frame *frame)
{
	uint32_t size = frame_end(frame->data) - frame_l3(frame->data);

	if (size > largest)
		largest = size;
}

static void absorb(void *context, void *handle)
{
}

static int setup(void **state)
{
	struct coalesce_options options = { .flows = 64, .max_len = 1500, .seed = 7, .emit = emit, .absorb = absorb };

	options.mss = table = mss_new(99);
	c = coalescer_new(&options);
	return table && c ? 0 : -1;
}

static int teardown(void **state)
{
	coalescer_free(c);
	mss_free(table);
	return 0;
}

static struct frame_spec spec_of(bool v6)
{
	struct frame_spec spec = frame_plain();

	spec.v6 = v6;
	return spec;
}

static void push(const uint8_t *data, uint32_t length)
{
	struct coalesce_frame frame = {
		.handle = pool[pooled], .data = pool[pooled], .length = length, .room = FRAME_MAX
	};

	assert_true(pooled < FRAMES);
	memcpy(pool[pooled++], data, length);
	coalescer_push(c, &frame, NOW);
}

/* Sends `count` segments of `size` bytes; the largest packet that leaves. */
static uint32_t stream(struct frame_spec *spec, int count, uint32_t size)
{
	static const uint8_t data[FRAME_MAX];
	uint8_t frame[FRAME_MAX];

	pooled = 0;
	largest = 0;
	for (int i = 0; i < count; i++, spec->sequence += size)
		push(frame, frame_tcp(frame, spec, data, size));
	coalescer_expire(c, NOW);
	return largest;
}

/* The receiver's SYN (or SYN+ACK) passes, the other way. */
static void syn(bool v6, const uint8_t *options, uint8_t length, uint8_t flags)
{
	struct frame_spec spec = spec_of(v6);
	uint8_t frame[FRAME_MAX], kept[16], *ip;
	uint32_t at = v6 ? 8 : 12, width = v6 ? 16 : 4;

	spec.source_port = 80;
	spec.target_port = 1234;
	spec.flags = flags;
	spec.options = options;
	spec.options_length = length;
	length = frame_tcp(frame, &spec, (const uint8_t *)"", 0);
	ip = frame + frame_l3(frame);
	memcpy(kept, ip + at, width);
	memcpy(ip + at, ip + at + width, width);
	memcpy(ip + at + width, kept, width);
	push(frame, length);
}

static const uint8_t mss_1260[4] = { 2, 4, 1260 >> 8, 1260 & 0xff }, mss_8960[4] = { 2, 4, 8960 >> 8, 8960 & 0xff };

static void careful_without_a_syn(void **state)
{
	struct frame_spec four = spec_of(false), six = spec_of(true);

	assert_in_range(stream(&four, 40, 100), 477, 576);
	assert_in_range(stream(&six, 40, 100), 1181, 1280);
}

static void as_large_as_the_sender_was(void **state)
{
	struct frame_spec spec = spec_of(false);

	stream(&spec, 1, 900);
	assert_in_range(stream(&spec, 40, 100), 841, 940);
	stream(&spec, 1, 1460);
	assert_in_range(stream(&spec, 40, 100), 1401, 1500);
}

static void the_syn_decides(void **state)
{
	for (int v6 = 0; v6 < 2; v6++) {
		struct frame_spec spec = spec_of(v6);
		uint32_t most = 1260 + (v6 ? 60 : 40);

		syn(v6, mss_1260, 4, v6 ? 0x02 : 0x12);
		assert_in_range(stream(&spec, 40, 100), most - 99, most);
		/* What is announced later cannot raise it; a forged segment cannot either. */
		syn(v6, mss_8960, 4, 0x02);
		stream(&spec, 1, 1400);
		assert_in_range(stream(&spec, 40, 100), most - 99, most);
	}
}

static void no_option_is_the_default(void **state)
{
	static const uint8_t broken[4] = { 2, 9, 1, 1 }, other[4] = { 1, 1, 4, 2 };
	struct frame_spec spec = spec_of(false);

	syn(false, other, 4, 0x02);
	assert_in_range(stream(&spec, 40, 100), 477, 576);
	syn(false, broken, 4, 0x02);
	assert_in_range(stream(&spec, 40, 100), 477, 576);
}

static void larger_than_the_port_never(void **state)
{
	struct frame_spec spec = spec_of(false);

	syn(false, mss_8960, 4, 0x12);
	assert_in_range(stream(&spec, 40, 100), 1401, 1500);
	coalescer_set_max_len(c, 700);
	assert_in_range(stream(&spec, 40, 100), 601, 700);
}

/* A router behind us names its MTU in an ICMP error, which quotes what was too big for it. */
static void routers_are_heard(void **state)
{
	struct frame_spec spec = spec_of(false);
	uint8_t quoted[FRAME_MAX], error[FRAME_MAX];

	syn(false, mss_8960, 4, 0x12);
	frame_tcp(quoted, &spec, quoted, 0);
	memcpy(error, quoted, 14 + 20);
	put16(error + 14 + 2, 20 + 8 + 28);
	error[14 + 9] = 1;
	memset(error + 34, 0, 8);
	error[34] = 3;
	error[35] = 4;
	put16(error + 40, 1300);
	memcpy(error + 42, quoted + 14, 28);
	push(error, 14 + 20 + 8 + 28);
	assert_in_range(stream(&spec, 40, 100), 1201, 1300);
	/* One that is cut short teaches nothing, and is not read beyond its end. */
	for (uint32_t length = 14; length < 14 + 20 + 8 + 28; length++) {
		put16(error + 14 + 2, length - 14);
		put16(error + 40, 600);
		push(error, length);
	}
	/* 24 bytes of the quotation hold the ports. */
	assert_in_range(stream(&spec, 40, 100), 501, 1300);
}

/* A router that drops what is large, and whose word does not come this way: all of it is sent again. */
static void silent_routers_are_noticed(void **state)
{
	for (int v6 = 0; v6 < 2; v6++) {
		struct frame_spec spec = spec_of(v6);
		uint32_t careful = v6 ? 1280 : 576, start;

		syn(v6, mss_8960, 4, 0x12);
		start = spec.sequence;
		assert_in_range(stream(&spec, 100, 100), 1401, 1500);
		spec.sequence = start;
		assert_in_range(stream(&spec, 100, 100), careful - 99, careful);
		assert_in_range(stream(&spec, 100, 100), careful - 99, careful);
	}
}

/* What was lost or overtaken before it came here, and a loss now and then behind us, is no sign of that. */
static void losses_elsewhere_are_not(void **state)
{
	struct frame_spec spec = spec_of(false);

	syn(false, mss_8960, 4, 0x12);
	for (int round = 0; round < 200; round++) {
		uint32_t hole = spec.sequence;

		/* A third comes after the rest. */
		spec.sequence += 1500;
		stream(&spec, 30, 100);
		spec.sequence = hole;
		assert_in_range(stream(&spec, 15, 100), 1401, 1500);
		spec.sequence = hole + 4500;
		assert_in_range(stream(&spec, 30, 100), 1401, 1500);
		/* One in five of these packets was lost. */
		spec.sequence -= 1000;
		stream(&spec, 10, 100);
	}
	assert_in_range(stream(&spec, 40, 100), 1401, 1500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(careful_without_a_syn, setup, teardown),
		cmocka_unit_test_setup_teardown(as_large_as_the_sender_was, setup, teardown),
		cmocka_unit_test_setup_teardown(the_syn_decides, setup, teardown),
		cmocka_unit_test_setup_teardown(no_option_is_the_default, setup, teardown),
		cmocka_unit_test_setup_teardown(larger_than_the_port_never, setup, teardown),
		cmocka_unit_test_setup_teardown(routers_are_heard, setup, teardown),
		cmocka_unit_test_setup_teardown(silent_routers_are_noticed, setup, teardown),
		cmocka_unit_test_setup_teardown(losses_elsewhere_are_not, setup, teardown),
	};

	return cmocka_run_group_tests_name("coalesce_mss", tests, NULL, NULL);
}
