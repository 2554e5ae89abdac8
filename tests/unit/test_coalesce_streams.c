/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Properties of the coalescer: random streams in random segments over a wire that loses, repeats, reorders and damages,
 * through the coalescer, over a second lossy wire, to receivers that put them together again. However it goes:
 *   - each receiver has exactly the bytes that were sent (senders repeat what got lost, in other segments);
 *   - what leaves the coalescer is, flow by flow, what entered it, in the same order, nothing more or less;
 *   - every frame that leaves has right checksums, unless it came in with a wrong one: then it leaves as it came;
 *   - none made is above the MTU; none waited longer than the hold, and without a hold none outlives its burst.
 *
 * COALESCE_BYTES=10000000000 runs the long one over 10 GB; COALESCE_SEED repeats a run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fastpath/coalesce.h"
#include "frame.h"

#define FLOWS 12
#define BUFFERS 8192
#define LEDGER 8192   /* frames of one flow inside the coalescer */
#define PATTERN 65521 /* prime: bytes in the wrong place differ from those that belong there */

struct setup {
	const char *name;
	int flows;
	uint64_t hold_ns, gap_ns;	   /* gap: longest pause between two bursts */
	uint32_t mtu, least, most;	   /* segment sizes */
	int burst;			   /* most frames in one */
	int loss, repeat, reorder, damage; /* before the coalescer, per 10,000 */
	int lost_after;			   /* behind it */
	/* per 10,000: the acknowledgement number moves, a pure ACK comes, ToS changes … */
	int chatter;
	uint64_t bytes; /* over all flows */
};

struct entry {
	uint32_t sequence, length;
	uint64_t arrival;
	uint8_t *exact; /* must leave as it came: a copy of it, NULL for a segment that may be merged */
	uint32_t exact_length;
};

struct flow {
	struct frame_spec spec;
	uint8_t options[12];
	uint64_t next, received; /* positions in the stream: to be sent, put together */
	int idle;		 /* bursts without progress */
	uint64_t last_received;
	struct entry ledger[LEDGER];
	uint32_t head, tail;
};

static uint8_t pattern[2 * PATTERN];
static uint8_t (*buffers)[FRAME_MAX];
static uint8_t *spare[BUFFERS];
static int spares;
static struct flow *flows;
static const struct setup *setup;
static uint64_t now, random_state;
static struct {
	uint64_t in, out, bytes, longest, waited;
} seen;

static uint32_t chance(uint32_t below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (random_state >> 16) % below;
}

static bool happens(int per_10000)
{
	return per_10000 && (int)chance(10000) < per_10000;
}

static const uint8_t *stream_at(uint64_t position)
{
	return pattern + position % PATTERN;
}

/* The flow a frame belongs to: its source port says it. */
static struct flow *flow_of(const uint8_t *frame)
{
	return &flows[get16(frame + frame_l4(frame)) - 1];
}

static void receive(struct flow *flow, const uint8_t *data, uint32_t sequence, uint32_t length)
{
	/* Positions from sequence numbers: streams start at 2^32 - 5000, so they wrap. */
	uint64_t base = flow->received + (uint64_t)UINT32_MAX + 1 - 5000;
	int32_t ahead = (int32_t)(sequence - (uint32_t)base);
	uint64_t position = flow->received + ahead;

	if (ahead < 0 && (uint64_t)-ahead > flow->received)
		fail_msg("bytes from before the stream");
	if (memcmp(data, stream_at(position), length))
		fail_msg("%s: wrong bytes at %llu", setup->name, (unsigned long long)position);
	if (ahead <= 0 && position + length > flow->received)
		flow->received = position + length;
}

static void emit(void *context, const struct coalesce_frame *frame)
{
	const uint8_t *data = frame->data;
	struct flow *flow = flow_of(data);
	uint32_t l4 = frame_l4(data), start = l4 + (data[l4 + 12] >> 4) * 4, length = frame_end(data) - start;
	uint32_t sequence = get32(data + l4 + 4), covered = 0;
	bool exact = false;

	seen.out++;
	do {
		struct entry *entry = &flow->ledger[flow->tail % LEDGER];

		if (flow->tail == flow->head)
			fail_msg("%s: a frame left that never came", setup->name);
		if (now - entry->arrival > setup->hold_ns)
			fail_msg("%s: waited %llu ns", setup->name, (unsigned long long)(now - entry->arrival));
		if (now - entry->arrival > seen.longest)
			seen.longest = now - entry->arrival;
		seen.waited += now - entry->arrival;
		if (entry->sequence != sequence + covered)
			fail_msg("%s: out of order", setup->name);
		if (entry->exact) {
			assert_int_equal(covered, 0);
			assert_int_equal(frame->length, entry->exact_length);
			assert_memory_equal(data, entry->exact, frame->length);
			free(entry->exact);
			entry->exact = NULL;
			exact = true;
		}
		covered += entry->length;
		flow->tail++;
	} while (covered < length);
	assert_int_equal(covered, length);
	assert_true(frame_end(data) - frame_l3(data) <= setup->mtu);
	if (!exact && !frame_sums_right(data, 6))
		fail_msg("%s: wrong checksum", setup->name);
	if (frame_sums_right(data, 6) && length && !happens(setup->lost_after))
		receive(flow, data + start, sequence, length);
	spare[spares++] = frame->handle;
}

static void absorb(void *context, void *handle)
{
	spare[spares++] = handle;
}

/* Hands a frame to the coalescer and notes what it was. */
static void push(struct coalescer *c, struct flow *flow, const uint8_t *bytes, uint32_t length, bool exact)
{
	struct entry *entry = &flow->ledger[flow->head++ % LEDGER];
	uint32_t l4 = frame_l4(bytes), start = l4 + (bytes[l4 + 12] >> 4) * 4;
	struct coalesce_frame frame = { .length = length, .room = FRAME_MAX };

	assert_true(flow->head - flow->tail < LEDGER && spares);
	entry->sequence = get32(bytes + l4 + 4);
	entry->length = frame_end(bytes) - start;
	entry->arrival = now;
	if (exact) {
		entry->exact = malloc(length);
		memcpy(entry->exact, bytes, length);
		entry->exact_length = length;
	}
	frame.handle = frame.data = spare[--spares];
	memcpy(frame.data, bytes, length);
	seen.in++;
	seen.bytes += entry->length;
	coalescer_push(c, &frame, now);
}

/* The flow's next segment, or something else that such a flow may carry. */
static uint32_t make(struct flow *flow, uint8_t *bytes, bool *exact)
{
	struct frame_spec *spec = &flow->spec;
	uint32_t room = setup->mtu - (spec->v6 ? 40 : 20) - 20 - spec->options_length;
	uint32_t length = setup->least + chance(setup->most - setup->least + 1);

	*exact = false;
	length = length < room ? length : room;
	spec->sequence = (uint32_t)(flow->next - 5000);
	spec->flags = chance(3) ? 0x18 : 0x10;
	spec->window = 1000 + chance(4);
	spec->id++;
	if (spec->v6)
		spec->id = 77; /* the flow label: one per flow */
	if (happens(setup->chatter)) {
		switch (chance(5)) {
		case 0:
			spec->ack += 1 + chance(3000);
			break;
		case 1:
			spec->tos ^= 3;
			break;
		case 2:
			put32(flow->options + 4, get32(flow->options + 4) + 1);
			break;
		case 3:
			*exact = true;
			return frame_tcp(bytes, spec, NULL, 0);
		case 4:
			*exact = true;
			spec->flags |= chance(2) ? 0x20 : 0x40; /* URG or ECE: same data, never merged */
			break;
		}
	}
	flow->next += length;
	return frame_tcp(bytes, spec, stream_at(flow->next - length), length);
}

static void damage(uint8_t *bytes)
{
	uint32_t l4 = frame_l4(bytes), start = l4 + (bytes[l4 + 12] >> 4) * 4, end = frame_end(bytes);
	uint32_t at = chance(2) || end == start ? l4 + 14 + chance(4) : start + chance(end - start);

	bytes[at] ^= 1 << chance(8);
}

/* Sends a burst of frames of random flows over the first wire. */
static void burst(struct coalescer *c)
{
	static uint8_t delayed[FRAME_MAX];
	static uint32_t delayed_length;
	static bool delayed_exact;
	static struct flow *delayed_flow;
	int count = 1 + chance(setup->burst);

	for (int i = 0; i < count; i++) {
		struct flow *flow = &flows[chance(setup->flows)];
		uint8_t bytes[FRAME_MAX];
		uint32_t length;
		bool exact;

		/* Nothing new for a while: what is missing was lost. Send it again, from where the receiver is. */
		if (flow->received != flow->last_received) {
			flow->last_received = flow->received;
			flow->idle = 0;
		} else if (++flow->idle > 64) {
			flow->next = flow->received;
			flow->idle = 0;
		}
		if (flow->next - flow->received > 65536)
			continue;
		length = make(flow, bytes, &exact);
		if (happens(setup->loss))
			continue;
		if (happens(setup->damage)) {
			damage(bytes);
			exact = true;
		}
		if (!delayed_flow && happens(setup->reorder)) {
			memcpy(delayed, bytes, length);
			delayed_length = length;
			delayed_exact = exact;
			delayed_flow = flow;
			continue;
		}
		push(c, flow, bytes, length, exact);
		if (happens(setup->repeat))
			push(c, flow, bytes, length, exact);
		if (delayed_flow && !chance(4)) {
			push(c, delayed_flow, delayed, delayed_length, delayed_exact);
			delayed_flow = NULL;
		}
	}
	if (delayed_flow) {
		push(c, delayed_flow, delayed, delayed_length, delayed_exact);
		delayed_flow = NULL;
	}
}

static uint64_t received(void)
{
	uint64_t sum = 0;

	for (int i = 0; i < setup->flows; i++)
		sum += flows[i].received;
	return sum;
}

static void run(const struct setup *which, uint64_t seed)
{
	struct coalesce_options options = {
		.flows = 64,
		.max_len = which->mtu,
		.hold_ns = which->hold_ns,
		.seed = seed,
		.emit = emit,
		.absorb = absorb,
	};
	struct coalescer *c = coalescer_new(&options);

	setup = which;
	random_state = seed * 0x9e3779b97f4a7c15ull | 1;
	now = 1000000;
	memset(&seen, 0, sizeof(seen));
	buffers = calloc(BUFFERS, sizeof(*buffers));
	flows = calloc(setup->flows, sizeof(*flows));
	spares = 0;
	for (int i = 0; i < BUFFERS; i++)
		spare[spares++] = buffers[i];
	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = i < PATTERN ? chance(256) : pattern[i - PATTERN];
	for (int i = 0; i < setup->flows; i++) {
		static const uint8_t timestamp[12] = { 1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2 };

		memcpy(flows[i].options, timestamp, sizeof(timestamp));
		flows[i].spec = (struct frame_spec){
			.v6 = i & 1,
			.vlans = i / 2 % 3,
			.tci = 5,
			.source_port = i + 1,
			.target_port = 80,
			.ttl = 64,
			.dont_fragment = i & 4,
			.options = flows[i].options,
			.options_length = i % 3 ? 12 : 0,
			.pad = i & 2,
		};
	}
	while (received() < setup->bytes) {
		uint64_t next = now + chance(setup->gap_ns) + 1;

		burst(c);
		coalescer_expire(c, now);
		/* What a caller promises: to look again when something must leave. */
		while (coalescer_deadline(c) < next) {
			now = coalescer_deadline(c);
			coalescer_expire(c, now);
		}
		now = next;
	}
	coalescer_flush(c);
	for (int i = 0; i < setup->flows; i++)
		assert_int_equal(flows[i].head - flows[i].tail, 0);
	assert_int_equal(spares, BUFFERS);
	assert_int_equal(seen.in - seen.out, coalescer_stats(c)->merged);
	if (setup->bytes >= 1000000)
		print_message(
			"# %s: %llu bytes put together, %llu frames in, %llu out (%.1f%% fewer), longest wait %llu ns, "
			"mean %llu ns\n",
			setup->name, (unsigned long long)received(), (unsigned long long)seen.in,
			(unsigned long long)seen.out, 100.0 * (seen.in - seen.out) / seen.in,
			(unsigned long long)seen.longest, (unsigned long long)(seen.waited / seen.in));
	coalescer_free(c);
	free(buffers);
	free(flows);
}

static uint64_t number_from(const char *variable, uint64_t otherwise)
{
	const char *text = getenv(variable);

	return text ? strtoull(text, NULL, 10) : otherwise;
}

static void random_setups(void **state)
{
	uint64_t seed = number_from("COALESCE_SEED", 1);

	for (int i = 0; i < 60; i++) {
		struct setup one = { .name = "random" };

		random_state = (seed + i) * 0x9e3779b97f4a7c15ull | 1;
		one.flows = 1 + chance(FLOWS);
		one.hold_ns = chance(2) ? 1000 * (1 + chance(200)) : 0;
		one.gap_ns = 1000 * (1 + chance(100));
		one.mtu = 576 + chance(925);
		one.least = 1 + chance(100);
		one.most = one.least + chance(1500);
		one.burst = 1 + chance(32);
		one.loss = chance(300);
		one.repeat = chance(300);
		one.reorder = chance(1000);
		one.damage = chance(300);
		one.lost_after = chance(200);
		one.chatter = chance(1000);
		one.bytes = 400000;
		run(&one, seed + i);
	}
}

/* 100-byte segments, 50 us hold, a segment every 5 us or so: what issue 4 measures. */
static void hundred_byte_stream(void **state)
{
	struct setup one = {
		.name = "100-byte stream, 50 us hold",
		.flows = 1,
		.hold_ns = 50000,
		.gap_ns = 10000,
		.mtu = 1500,
		.least = 100,
		.most = 100,
		.burst = 1,
		.loss = 20,
		.repeat = 10,
		.reorder = 20,
		.damage = 5,
		.lost_after = 20,
		.bytes = number_from("COALESCE_BYTES", 20000000),
	};

	run(&one, number_from("COALESCE_SEED", 1));
	assert_true(10 * seen.out <= 3 * seen.in);
	assert_true(seen.longest <= one.hold_ns);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_setups),
		cmocka_unit_test(hundred_byte_stream),
	};

	return cmocka_run_group_tests_name("coalesce_streams", tests, NULL, NULL);
}
