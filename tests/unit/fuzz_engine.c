/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * libFuzzer target: the engine's whole receive path. The input is a list of acts: segments that are nearly right for
 * one of two connections (or raw bytes), calls of a program, time. Frames are in blocks of exactly their size.
 */
#include <sys/socket.h>
#include <stdlib.h>

#include "endpoint/handover.h"
#include "endpoint/tcp_engine.h"
#include "ring_memory.h"
#include "segment.h"

#define SERVER "10.0.0.1"
#define PEER "10.0.0.2"

struct input {
	const uint8_t *at, *end;
};

static uint64_t now;
static struct memory_ring wire, peer;

static uint64_t clock_of(void *context)
{
	return now;
}

static bool find_neighbour(void *context, const union engine_address *to, uint8_t mac[6])
{
	memset(mac, 2, 6);
	return true;
}

static uint32_t number(struct input *input, int bytes)
{
	uint32_t value = 0;

	while (bytes--)
		value = value << 8 | (input->at < input->end ? *input->at++ : 0);
	return value;
}

static void tell(struct engine *engine, const struct segment *s)
{
	uint8_t frame[WIRE_ROOM];

	wire_put(&wire, frame, segment_frame(frame, s, PEER, SERVER));
	engine_poll(engine, now, 0);
}

/* The last numbers that the engine sent to this port of the peer. */
static void listen_to(struct segment *next)
{
	struct segment s;

	while (peer.tail != peer.head) {
		struct wire_frame *frame = &peer.frames[peer.tail++ % WIRE_FRAMES];
		if (!segment_read(frame->data, frame->len, &s))
			abort();
		if (s.dest == next->source) {
			next->ack = s.seq + s.len + !!(s.flags & (SYN | FIN));
			next->seq = s.flags & ACK ? s.ack : next->seq;
		}
	}
}

static void act(struct engine *engine, struct engine_socket **socket, struct segment *next, struct input *input)
{
	static uint8_t buffer[5000];
	static uint8_t bytes[8 << 20];
	struct iovec iov = { buffer, sizeof(buffer) };
	struct handover snapshot;
	struct segment s = *next;
	uint8_t kind = (uint8_t)number(input, 1);

	switch (kind % 16) {
	default:
		s.flags = (uint8_t)number(input, 1);
		s.seq += (uint32_t)(int8_t)number(input, 1) * (kind & 0x40 ? 1400 : 1);
		s.ack += (uint32_t)(int8_t)number(input, 1) * (kind & 0x80 ? 1400 : 1);
		s.window = (uint16_t)number(input, 2);
		s.ts_value += (uint32_t)(int8_t)number(input, 1);
		s.len = (uint16_t)(number(input, 1) * (kind & 0x20 ? 5 : 1));
		s.stamped = kind & 0x10;
		s.option_len = number(input, 1) % 11 * 4;
		for (unsigned i = 0; i < s.option_len; i++)
			s.options[i] = (uint8_t)number(input, 1);
		tell(engine, &s);
		listen_to(next);
		break;
	case 9:
		wire_put(&wire, input->at, (uint32_t)(input->end - input->at) % 128);
		break;
	case 10:
		now += (uint64_t)number(input, 1) << (number(input, 1) % 40);
		engine_poll(engine, now, 0);
		break;
	case 11:
		if (*socket)
			engine_read(*socket, &iov, 1, kind & 0x10 ? MSG_PEEK : 0);
		break;
	case 12:
		iov.iov_len = number(input, 2) % sizeof(buffer);
		if (*socket)
			engine_write(*socket, &iov, 1, kind & 0x10 ? MSG_MORE : 0);
		break;
	case 13:
		if (*socket)
			engine_shutdown(*socket, kind / 16 % 3);
		break;
	case 14:
		if (*socket) {
			if (kind & 0x10)
				engine_close(*socket);
			else
				engine_abort(*socket);
			*socket = NULL;
		}
		break;
	case 15:
		if (*socket) {
			int64_t size = handover_take(*socket, &snapshot, bytes, sizeof(bytes));
			if (size >= 0 && !handover_valid(&snapshot, (uint64_t)size))
				abort();
			engine_ready(*socket);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, data + size };
	struct engine_config config = { .ring = &wire.ring,
					.address_count = 1,
					.neighbour = find_neighbour,
					.clock = clock_of,
					.receive_buffer = 30000,
					.send_buffer = 30000 };
	struct segment next[2] = {
		{ .source = 1000, .dest = 80, .seq = 5000, .window = 64000, .stamped = true, .ts_value = 99 },
		{ .source = 1001, .dest = 80, .seq = 0xfffffff0, .window = 64000 }
	};
	struct engine_socket *listener, *sockets[2];
	static bool once;

	if (!once) {
		memory_pair(&wire, &peer, 1);
		once = true;
	}
	now = 1000000000000ull;
	config.addresses[0].in.sin_family = AF_INET;
	inet_pton(AF_INET, SERVER, &config.addresses[0].in.sin_addr);
	struct engine *engine = engine_create(&config);
	union engine_address local = config.addresses[0];
	local.in.sin_port = htons(80);
	if (!engine || engine_listen(engine, &local, 10, false, &listener))
		abort();
	for (int i = 0; i < 2; i++) {
		static const uint8_t OPTIONS[12] = { 2, 4, 5, 180, 4, 2, 1, 1, 1, 3, 3, 7 };
		struct segment s = next[i];
		s.flags = SYN;
		s.option_len = i ? 0 : 12;
		memcpy(s.options, OPTIONS, 12);
		tell(engine, &s);
		listen_to(&next[i]);
		next[i].flags = ACK;
		tell(engine, &next[i]);
		sockets[i] = engine_accept(listener);
		if (!sockets[i])
			abort();
	}
	while (input.at < input.end) {
		unsigned which = *input.at & 8 ? 1 : 0;
		act(engine, &sockets[which], &next[which], &input);
	}
	engine_poll(engine, now, 0);
	engine_destroy(engine);
	if (wire.taken)
		abort(); /* a frame was lost */
	peer.tail = peer.head;
	return 0;
}
