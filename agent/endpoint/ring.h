/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * A pair of packet queues: what the engine sees of AF_XDP (ring_xdp.h), of a DPDK port (ring_dpdk.h) and of the tests'
 * memory (tests/unit/ring_memory.h). Frames are whole Ethernet frames. No call blocks. The caller holds the engine's
 * lock.
 */
#ifndef AUTOCORK_ENDPOINT_RING_H
#define AUTOCORK_ENDPOINT_RING_H

#include <stdbool.h>
#include <stdint.h>

#define RING_BURST 64 /* the most frames that one call takes */

struct ring;

/* A received frame. It belongs to the caller until ring_release(). */
struct ring_frame {
	uint8_t *data;
	uint32_t len;
	uint64_t id; /* of the ring's own use */
};

struct ring_stats {
	uint64_t rx_frames, rx_bytes;
	uint64_t tx_frames, tx_bytes;
	uint64_t rx_dropped; /* by the kernel or the port: no free frame, or the queue was full */
	uint64_t tx_full;    /* ring_reserve() had no frame */
	uint64_t tx_wakeups; /* system calls that asked the kernel to send */
};

struct ring_ops {
	unsigned (*receive)(struct ring *ring, struct ring_frame *frames, unsigned count);
	void (*release)(struct ring *ring, const struct ring_frame *frame);
	uint8_t *(*reserve)(struct ring *ring);
	void (*submit)(struct ring *ring, uint32_t len);
	int (*flush)(struct ring *ring);
	void (*stats)(struct ring *ring, struct ring_stats *stats);
	void (*close)(struct ring *ring);
	bool (*waits)(struct ring *ring);    /* NULL: no */
	bool (*withdraw)(struct ring *ring); /* NULL: no */
};

/* The head of each implementation's own structure. */
struct ring {
	const struct ring_ops *ops;
	int wait_fd;	    /* readable when frames are there; -1: none, the caller has to poll */
	uint32_t mtu;	    /* of the interface: the longest IP packet */
	uint32_t room;	    /* bytes in a frame to send */
	uint32_t rx_frames; /* how many received frames can be held before the queue runs dry */
};

/* Up to count (at most RING_BURST) received frames. */
static inline unsigned ring_receive(struct ring *ring, struct ring_frame *frames, unsigned count)
{
	return ring->ops->receive(ring, frames, count);
}

static inline void ring_release(struct ring *ring, const struct ring_frame *frame)
{
	ring->ops->release(ring, frame);
}

/* The next frame to fill (ring->room bytes), or NULL: the queue is full. ring_submit() follows, before the next
 * reserve. */
static inline uint8_t *ring_reserve(struct ring *ring)
{
	return ring->ops->reserve(ring);
}

/* The reserved frame is complete. It leaves at the latest at ring_flush(). */
static inline void ring_submit(struct ring *ring, uint32_t len)
{
	ring->ops->submit(ring, len);
}

/* Everything submitted is on its way. 0, or -errno when the interface is gone (-ENETDOWN, -ENXIO). */
static inline int ring_flush(struct ring *ring)
{
	return ring->ops->flush(ring);
}

/* A wait on wait_fd (poll() and its like) sends everything submitted: no ring_flush() is needed before it. */
static inline bool ring_waits(struct ring *ring)
{
	return ring->ops->waits && ring->ops->waits(ring);
}

/*
 * The frame submitted last is taken back: it does not leave. False: it may have left. Not after a ring_flush() or a
 * wait that followed it, nor while another thread waits: what the kernel has seen stays.
 */
static inline bool ring_withdraw(struct ring *ring)
{
	return ring->ops->withdraw && ring->ops->withdraw(ring);
}

static inline void ring_stats(struct ring *ring, struct ring_stats *stats)
{
	ring->ops->stats(ring, stats);
}

static inline void ring_close(struct ring *ring)
{
	ring->ops->close(ring);
}

#endif
