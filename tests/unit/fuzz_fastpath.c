/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * libFuzzer target: the parser, the coalescer and the reflector on frames that are nearly right. The input is a list of
 * frames, each a template, a length, patches to single bytes and whether the checksums are put right afterwards; or raw
 * bytes. Frames are in buffers of exactly their size, so that the address sanitizer sees every byte read or written
 * beyond.
 */
#include <stdlib.h>

#include "fastpath/coalesce.h"
#include "fastpath/packet.h"
#include "fastpath/reflect.h"
#include "frame.h"

struct input {
	const uint8_t *at, *end;
};

static uint64_t taken, returned;

static uint8_t byte(struct input *input)
{
	return input->at < input->end ? *input->at++ : 0;
}

static void emit(void *context, const struct coalesce_frame *frame)
{
	if (frame->length > frame->room)
		abort();
	returned++;
	free(frame->handle);
}

static void absorb(void *context, void *handle)
{
	returned++;
	free(handle);
}

static uint32_t make(struct input *input, uint8_t *frame, uint32_t *sequence)
{
	static const uint8_t options[12] = { 1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2 }, data[256];
	uint8_t kind = byte(input), patches = byte(input) % 8, size = byte(input);
	struct frame_spec spec = {
		.v6 = kind & 1,
		.vlans = (kind >> 1 & 3) % 3,
		.source_port = 1,
		.target_port = 2,
		.sequence = *sequence,
		.ack = 1,
		.flags = 0x18,
		.ttl = 64,
		.options = options,
		.options_length = kind & 8 ? 12 : 0,
		.pad = kind & 16,
	};
	uint32_t length, at;
	uint8_t protocol = 6, field = 16;

	if ((kind & 0xe0) == 0xe0) {
		for (length = 0; length < size; length++)
			frame[length] = byte(input);
		return length;
	}
	if (kind & 0x80) {
		protocol = kind & 0x20 ? 17 : spec.v6 ? 58 : 1;
		field = kind & 0x20 ? 6 : 2;
		at = frame_head(frame, &spec, protocol, 8 + size);
		memset(frame + at, 0, 8 + size);
		frame[at] = spec.v6 ? 128 : 8;
		put16(frame + at + 4, 8 + size);
		length = at + 8 + size;
	} else {
		length = frame_tcp(frame, &spec, data, size);
		*sequence += size;
	}
	for (int i = 0; i < patches; i++) {
		at = byte(input);
		if (at < length)
			frame[at] = byte(input);
	}
	/* Only where the patched lengths still lie within the frame. */
	if (kind & 0x40 && frame_l4(frame) + field + 2 <= length && frame_end(frame) <= length &&
	    frame_l4(frame) < frame_end(frame))
		frame_sum(frame, protocol, field);
	return length - (patches == 7 ? byte(input) % (length + 1) : 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct input input = { bytes, bytes + size };
	struct coalesce_options options = { .flows = 8, .max_len = 600, .seed = 1, .emit = emit, .absorb = absorb };
	struct reflect_options reflect = { .mac = { 2, 0, 0, 0, 0, 2 } };
	uint32_t sequence = 1000;
	struct reflect_state state = { .echoes = echoes_new() };
	struct coalescer *c;
	uint64_t now = 1000;

	options.hold_ns = byte(&input) * 100;
	c = coalescer_new(&options);
	if (!c || !state.echoes)
		abort();
	taken = returned = 0;
	while (input.at < input.end) {
		uint8_t made[FRAME_MAX] = { 0 }, extra = byte(&input);
		uint32_t length = make(&input, made, &sequence);
		struct coalesce_frame frame = { .length = length, .room = length + extra * 4 };
		uint8_t *copy = malloc(length ? length : 1);

		memcpy(copy, made, length);
		state.now_ns = now;
		reflect_frame(&reflect, &state, copy, length);
		free(copy);
		frame.handle = frame.data = malloc(frame.room ? frame.room : 1);
		memcpy(frame.data, made, length);
		taken++;
		coalescer_push(c, &frame, now);
		now += extra * 10;
		if (extra & 1)
			coalescer_expire(c, now);
	}
	coalescer_flush(c);
	if (taken != returned || coalescer_stats(c)->held || coalescer_deadline(c) != UINT64_MAX)
		abort();
	coalescer_free(c);
	echoes_free(state.echoes);
	return 0;
}
