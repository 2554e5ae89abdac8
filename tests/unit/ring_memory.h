/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Two rings joined in memory, for tests of the engine: what the one sends the other receives, with the loss, the order
 * and the copies that a seed gives.
 */
#pragma once
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "endpoint/ring.h"

#define WIRE_FRAMES 8192
#define WIRE_ROOM 2048

struct wire_frame {
	uint8_t data[WIRE_ROOM];
	uint32_t len;
};

struct memory_ring {
	struct ring ring;
	struct memory_ring *other;
	struct wire_frame *frames;  /* received, a ring of WIRE_FRAMES */
	uint32_t head, tail, taken; /* taken: received and not released */
	uint8_t building[WIRE_ROOM];
	uint64_t seed;
	unsigned lose, swap, copy; /* of 1000 frames */
	uint64_t sent, lost;
	bool plain;				       /* the last one went out once, and is the other's last */
	bool (*filter)(uint8_t *frame, uint32_t *len); /* false: lost */
};

static inline uint32_t wire_random(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(*seed >> 33);
}

static inline void wire_put(struct memory_ring *to, const void *data, uint32_t len)
{
	if (to->head - to->tail + to->taken >= WIRE_FRAMES)
		return; /* a full queue loses */
	struct wire_frame *frame = &to->frames[to->head++ % WIRE_FRAMES];
	memcpy(frame->data, data, len);
	frame->len = len;
}

static inline unsigned memory_receive(struct ring *ring, struct ring_frame *frames, unsigned count)
{
	struct memory_ring *mr = (struct memory_ring *)ring;
	unsigned n = 0;

	for (; n < count && mr->tail != mr->head; n++) {
		struct wire_frame *from = &mr->frames[mr->tail++ % WIRE_FRAMES];
		/* A block of its own, of the very size: AddressSanitizer sees a read beyond the end, and a frame kept
		 * too long. */
		uint8_t *data = malloc(from->len ? from->len : 1);
		memcpy(data, from->data, from->len);
		frames[n] = (struct ring_frame){ data, from->len, (uint64_t)(uintptr_t)data };
		mr->taken++;
	}
	return n;
}

static inline void memory_release(struct ring *ring, const struct ring_frame *frame)
{
	((struct memory_ring *)ring)->taken--;
	free((void *)(uintptr_t)frame->id);
}

static inline uint8_t *memory_reserve(struct ring *ring)
{
	return ((struct memory_ring *)ring)->building;
}

static inline void memory_submit(struct ring *ring, uint32_t len)
{
	struct memory_ring *mr = (struct memory_ring *)ring, *to = mr->other;

	mr->sent++;
	mr->plain = false;
	if ((mr->filter && !mr->filter(mr->building, &len)) || wire_random(&mr->seed) % 1000 < mr->lose) {
		mr->lost++;
		return;
	}
	mr->plain = to->head - to->tail + to->taken < WIRE_FRAMES;
	wire_put(to, mr->building, len);
	if (wire_random(&mr->seed) % 1000 < mr->copy) {
		mr->plain = false;
		wire_put(to, mr->building, len);
	}
	if (to->head - to->tail >= 2 && wire_random(&mr->seed) % 1000 < mr->swap) {
		uint32_t back = 1 + wire_random(&mr->seed) % (to->head - to->tail < 6 ? to->head - to->tail - 1 : 5);
		struct wire_frame *a = &to->frames[(to->head - 1) % WIRE_FRAMES];
		struct wire_frame *b = &to->frames[(to->head - 1 - back) % WIRE_FRAMES];
		struct wire_frame kept = *a;
		*a = *b;
		*b = kept;
		mr->plain = false;
	}
}

static inline bool memory_withdraw(struct ring *ring)
{
	struct memory_ring *mr = (struct memory_ring *)ring;

	if (!mr->plain || mr->other->tail == mr->other->head)
		return false;
	mr->plain = false;
	mr->other->head--;
	mr->sent--;
	return true;
}

static inline int memory_flush(struct ring *ring)
{
	return 0;
}

static inline void memory_stats(struct ring *ring, struct ring_stats *stats)
{
	*stats = (struct ring_stats){ .tx_frames = ((struct memory_ring *)ring)->sent };
}

static inline void memory_close(struct ring *ring)
{
	free(((struct memory_ring *)ring)->frames);
}

static inline void memory_pair(struct memory_ring *a, struct memory_ring *b, uint64_t seed)
{
	static const struct ring_ops OPS = { memory_receive, memory_release, memory_reserve,
					     memory_submit,  memory_flush,   memory_stats,
					     memory_close,   NULL,	     memory_withdraw };

	for (struct memory_ring *mr = a; mr; mr = mr == a ? b : NULL) {
		memset(mr, 0, sizeof(*mr));
		mr->ring =
			(struct ring){ .ops = &OPS, .wait_fd = -1, .mtu = 1500, .room = WIRE_ROOM, .rx_frames = 256 };
		mr->frames = calloc(WIRE_FRAMES, sizeof(*mr->frames));
		mr->seed = seed++;
	}
	a->other = b;
	b->other = a;
}
