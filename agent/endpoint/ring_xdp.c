/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* A ring over an AF_XDP socket: see ring_xdp.h. */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/if_xdp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "endpoint/ring_xdp.h"

#define SENT_BY_A_CALL 32 /* frames at most, in copy mode (TX_BATCH_SIZE, net/xdp/xsk.c) */

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8U /* Linux 6.3 */
#endif

/* One of the four rings, mapped. Producer and consumer run freely; entry = index & mask. */
struct queue {
	uint32_t *producer, *consumer, *flags;
	void *entries;
	uint32_t mask, size;
	uint32_t cached; /* our own end */
	void *map;
	size_t map_len;
};

struct xdp_ring {
	struct ring ring;
	struct ring_xdp xdp;
	uint8_t *umem;
	size_t umem_len;
	struct queue rx, tx, fill, completion;
	uint64_t *tx_free; /* a stack of frames to send with */
	uint32_t tx_free_count;
	uint64_t reserved;
	bool has_reserved;
	struct ring_stats stats;
};

void ring_xdp_sizes(struct ring_xdp *xdp, uint32_t frames_each_way, uint32_t mtu)
{
	*xdp = (struct ring_xdp){
		.xsk = -1,
		.umem = -1,
		.frames = frames_each_way * 2,
		.frame_size = mtu + 14 + XDP_PACKET_HEADROOM <= 2048 ? 2048 : 4096,
		.rx_frames = frames_each_way,
		.rx_ring = frames_each_way,
		.tx_ring = frames_each_way,
		.fill_ring = frames_each_way,
		.completion_ring = frames_each_way,
		.mtu = mtu,
	};
}

/*
 * Who gets the socket maps its rings when it is bound. Before Linux 6.4 that is refused (EBUSY; commit 5f5a7d8d8bd4,
 * "xsk: allow remap of fill and/or completion rings").
 */
static bool can_be_mapped(int xsk)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *ring = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, xsk, XDP_PGOFF_RX_RING);

	if (ring == MAP_FAILED) {
		if (errno == EBUSY)
			errno = EOPNOTSUPP;
		return false;
	}
	munmap(ring, page);
	return true;
}

static int set_size(int xsk, int option, uint32_t size)
{
	return setsockopt(xsk, SOL_XDP, option, &size, sizeof(size)) ? -errno : 0;
}

int ring_xdp_open(struct ring_xdp *xdp, int ifindex, uint32_t queue, uint16_t bind_flags, const char **what)
{
	size_t len = (size_t)xdp->frames * xdp->frame_size;
	struct sockaddr_xdp address = { .sxdp_family = AF_XDP,
					.sxdp_ifindex = (uint32_t)ifindex,
					.sxdp_queue_id = queue,
					.sxdp_flags = bind_flags | XDP_USE_NEED_WAKEUP };
	struct xdp_umem_reg reg = { .len = len, .chunk_size = xdp->frame_size };
	void *map = MAP_FAILED;
	int err;

	xdp->xsk = xdp->umem = -1;
	*what = "memfd";
	xdp->umem = memfd_create("autocork-umem", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
	if (xdp->umem < 0 && errno == EINVAL)
		xdp->umem = memfd_create("autocork-umem", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	/* The size is sealed: nobody who has the descriptor can take pages away under the other side. */
	if (xdp->umem < 0 || ftruncate(xdp->umem, (off_t)len) ||
	    fcntl(xdp->umem, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		goto fail;
	map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, xdp->umem, 0);
	if (map == MAP_FAILED)
		goto fail;
	*what = "AF_XDP socket";
	xdp->xsk = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (xdp->xsk < 0)
		goto fail;
	/* The kernel pins the pages and accounts them to this process: the mapping is not needed after that. */
	*what = "UMEM";
	reg.addr = (uint64_t)(uintptr_t)map;
	if (setsockopt(xdp->xsk, SOL_XDP, XDP_UMEM_REG, &reg, sizeof(reg)))
		goto fail;
	*what = "rings";
	if ((err = set_size(xdp->xsk, XDP_UMEM_FILL_RING, xdp->fill_ring)) ||
	    (err = set_size(xdp->xsk, XDP_UMEM_COMPLETION_RING, xdp->completion_ring)) ||
	    (err = set_size(xdp->xsk, XDP_RX_RING, xdp->rx_ring)) ||
	    (err = set_size(xdp->xsk, XDP_TX_RING, xdp->tx_ring))) {
		errno = -err;
		goto fail;
	}
	*what = "bind";
	if (bind(xdp->xsk, (struct sockaddr *)&address, sizeof(address)))
		goto fail;
	*what = "mapping the rings of a bound socket";
	if (!can_be_mapped(xdp->xsk))
		goto fail;
	munmap(map, len);
	return 0;
fail:
	err = -errno;
	if (map != MAP_FAILED)
		munmap(map, len);
	if (xdp->umem >= 0)
		close(xdp->umem);
	if (xdp->xsk >= 0)
		close(xdp->xsk);
	xdp->xsk = xdp->umem = -1;
	return err;
}

static bool map_queue(struct queue *queue, int xsk, uint64_t page, const struct xdp_ring_offset *offset, uint32_t size,
		      size_t entry)
{
	queue->map_len = offset->desc + size * entry;
	queue->map = mmap(NULL, queue->map_len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, xsk, (off_t)page);
	if (queue->map == MAP_FAILED) {
		queue->map = NULL;
		return false;
	}
	/* A forked child that kept the mapping would keep the queue, and packets would vanish in it. */
	madvise(queue->map, queue->map_len, MADV_DONTFORK);
	queue->producer = (uint32_t *)((uint8_t *)queue->map + offset->producer);
	queue->consumer = (uint32_t *)((uint8_t *)queue->map + offset->consumer);
	queue->flags = (uint32_t *)((uint8_t *)queue->map + offset->flags);
	queue->entries = (uint8_t *)queue->map + offset->desc;
	queue->size = size;
	queue->mask = size - 1;
	return true;
}

static uint32_t load(const uint32_t *at)
{
	return __atomic_load_n(at, __ATOMIC_ACQUIRE);
}

static void store(uint32_t *at, uint32_t value)
{
	__atomic_store_n(at, value, __ATOMIC_RELEASE);
}

static bool needs_wakeup(const struct queue *queue)
{
	return load(queue->flags) & XDP_RING_NEED_WAKEUP;
}

static void fill(struct xdp_ring *xr, uint64_t frame)
{
	((uint64_t *)xr->fill.entries)[xr->fill.cached++ & xr->fill.mask] = frame;
	store(xr->fill.producer, xr->fill.cached);
}

static unsigned xdp_receive(struct ring *ring, struct ring_frame *frames, unsigned count)
{
	struct xdp_ring *xr = (struct xdp_ring *)ring;
	uint32_t ready = load(xr->rx.producer) - xr->rx.cached;
	unsigned taken = 0;

	if (ready > xr->rx.size)
		return 0; /* cannot be */
	for (; ready && taken < count; ready--, xr->rx.cached++) {
		const struct xdp_desc *desc = &((struct xdp_desc *)xr->rx.entries)[xr->rx.cached & xr->rx.mask];
		if (desc->addr >= xr->umem_len || desc->len > xr->umem_len - desc->addr)
			continue;
		frames[taken++] = (struct ring_frame){ xr->umem + desc->addr, desc->len,
						       desc->addr & ~(uint64_t)(xr->xdp.frame_size - 1) };
		xr->stats.rx_bytes += desc->len;
	}
	xr->stats.rx_frames += taken;
	store(xr->rx.consumer, xr->rx.cached);
	if (needs_wakeup(&xr->fill))
		recvfrom(xr->xdp.xsk, NULL, 0, MSG_DONTWAIT, NULL, NULL);
	return taken;
}

static void xdp_release(struct ring *ring, const struct ring_frame *frame)
{
	fill((struct xdp_ring *)ring, frame->id);
}

static void collect(struct xdp_ring *xr)
{
	uint32_t ready = load(xr->completion.producer) - xr->completion.cached;
	uint32_t most = xr->xdp.frames - xr->xdp.rx_frames;

	for (; ready && xr->tx_free_count < most; ready--)
		xr->tx_free[xr->tx_free_count++] =
			((uint64_t *)xr->completion.entries)[xr->completion.cached++ & xr->completion.mask];
	store(xr->completion.consumer, xr->completion.cached);
}

static uint8_t *xdp_reserve(struct ring *ring)
{
	struct xdp_ring *xr = (struct xdp_ring *)ring;

	if (!xr->has_reserved) {
		if (!xr->tx_free_count)
			collect(xr);
		if (!xr->tx_free_count || xr->tx.cached - load(xr->tx.consumer) >= xr->tx.size) {
			xr->stats.tx_full++;
			return NULL;
		}
		xr->reserved = xr->tx_free[--xr->tx_free_count];
		xr->has_reserved = true;
	}
	return xr->umem + xr->reserved;
}

static void xdp_submit(struct ring *ring, uint32_t len)
{
	struct xdp_ring *xr = (struct xdp_ring *)ring;
	struct xdp_desc *desc = &((struct xdp_desc *)xr->tx.entries)[xr->tx.cached & xr->tx.mask];

	*desc = (struct xdp_desc){ .addr = xr->reserved, .len = len };
	xr->tx.cached++;
	store(xr->tx.producer, xr->tx.cached);
	xr->has_reserved = false;
	xr->stats.tx_frames++;
	xr->stats.tx_bytes += len;
}

static bool xdp_withdraw(struct ring *ring)
{
	struct xdp_ring *xr = (struct xdp_ring *)ring;
	const struct xdp_desc *desc;

	if (xr->has_reserved || xr->tx.cached == load(xr->tx.consumer))
		return false;
	desc = &((struct xdp_desc *)xr->tx.entries)[--xr->tx.cached & xr->tx.mask];
	store(xr->tx.producer, xr->tx.cached);
	xr->reserved = desc->addr;
	xr->has_reserved = true;
	xr->stats.tx_frames--;
	xr->stats.tx_bytes -= desc->len;
	return true;
}

/* In copy mode poll() sends as sendto() does, one batch (xsk_poll(), net/xdp/xsk.c, since Linux 5.4). */
static bool xdp_waits(struct ring *ring)
{
	struct xdp_ring *xr = (struct xdp_ring *)ring;

	return xr->tx.cached - load(xr->tx.consumer) <= SENT_BY_A_CALL;
}

static int xdp_flush(struct ring *ring)
{
	struct xdp_ring *xr = (struct xdp_ring *)ring;
	int err = 0;

	for (uint32_t tries = 0; tries < xr->tx.size / SENT_BY_A_CALL + 1; tries++) {
		if (load(xr->tx.consumer) == xr->tx.cached || !needs_wakeup(&xr->tx))
			break;
		xr->stats.tx_wakeups++;
		if (sendto(xr->xdp.xsk, NULL, 0, MSG_DONTWAIT, NULL, 0) < 0) {
			if (errno == EAGAIN)
				continue;
			/* EBUSY, ENOBUFS: the device is full; what is in the ring leaves with the next call. */
			err = errno == EBUSY || errno == ENOBUFS || errno == EINTR ? 0 : -errno;
			break;
		}
	}
	collect(xr);
	return err;
}

static void xdp_stats(struct ring *ring, struct ring_stats *stats)
{
	struct xdp_ring *xr = (struct xdp_ring *)ring;
	struct xdp_statistics kernel = { 0 };
	socklen_t len = sizeof(kernel);

	*stats = xr->stats;
	if (!getsockopt(xr->xdp.xsk, SOL_XDP, XDP_STATISTICS, &kernel, &len))
		stats->rx_dropped = kernel.rx_dropped + kernel.rx_ring_full + kernel.rx_fill_ring_empty_descs;
}

static void unmap(struct queue *queue)
{
	if (queue->map)
		munmap(queue->map, queue->map_len);
}

static void release_memory(struct xdp_ring *xr)
{
	unmap(&xr->rx);
	unmap(&xr->tx);
	unmap(&xr->fill);
	unmap(&xr->completion);
	if (xr->umem)
		munmap(xr->umem, xr->umem_len);
	free(xr->tx_free);
	free(xr);
}

static void xdp_close(struct ring *ring)
{
	struct xdp_ring *xr = (struct xdp_ring *)ring;

	close(xr->xdp.xsk);
	close(xr->xdp.umem);
	release_memory(xr);
}

static const struct ring_ops XDP_OPS = {
	.receive = xdp_receive,
	.release = xdp_release,
	.reserve = xdp_reserve,
	.submit = xdp_submit,
	.flush = xdp_flush,
	.waits = xdp_waits,
	.withdraw = xdp_withdraw,
	.stats = xdp_stats,
	.close = xdp_close,
};

static bool power_of_two(uint32_t value)
{
	return value && !(value & (value - 1));
}

static bool sizes_are_right(const struct ring_xdp *xdp)
{
	return power_of_two(xdp->rx_ring) && power_of_two(xdp->tx_ring) && power_of_two(xdp->fill_ring) &&
	       power_of_two(xdp->completion_ring) && power_of_two(xdp->frame_size) && xdp->rx_frames < xdp->frames &&
	       xdp->rx_frames <= xdp->fill_ring && xdp->frames - xdp->rx_frames <= xdp->completion_ring &&
	       xdp->frame_size >= 2048 && xdp->frames <= 1u << 20;
}

struct ring *ring_xdp_attach(const struct ring_xdp *xdp)
{
	struct xdp_mmap_offsets offsets;
	socklen_t len = sizeof(offsets);
	struct xdp_ring *xr;
	int err;

	if (!sizes_are_right(xdp)) {
		errno = EINVAL;
		return NULL;
	}
	if (getsockopt(xdp->xsk, SOL_XDP, XDP_MMAP_OFFSETS, &offsets, &len))
		return NULL;
	xr = calloc(1, sizeof(*xr));
	if (!xr)
		return NULL;
	xr->xdp = *xdp;
	xr->ring = (struct ring){ .ops = &XDP_OPS,
				  .wait_fd = xdp->xsk,
				  .mtu = xdp->mtu,
				  .room = xdp->frame_size,
				  .rx_frames = xdp->rx_frames };
	xr->umem_len = (size_t)xdp->frames * xdp->frame_size;
	xr->tx_free = calloc(xdp->frames - xdp->rx_frames, sizeof(*xr->tx_free));
	xr->umem = mmap(NULL, xr->umem_len, PROT_READ | PROT_WRITE, MAP_SHARED, xdp->umem, 0);
	if (xr->umem == MAP_FAILED)
		xr->umem = NULL;
	if (!xr->tx_free || !xr->umem || madvise(xr->umem, xr->umem_len, MADV_DONTFORK) ||
	    !map_queue(&xr->rx, xdp->xsk, XDP_PGOFF_RX_RING, &offsets.rx, xdp->rx_ring, sizeof(struct xdp_desc)) ||
	    !map_queue(&xr->tx, xdp->xsk, XDP_PGOFF_TX_RING, &offsets.tx, xdp->tx_ring, sizeof(struct xdp_desc)) ||
	    !map_queue(&xr->fill, xdp->xsk, XDP_UMEM_PGOFF_FILL_RING, &offsets.fr, xdp->fill_ring, sizeof(uint64_t)) ||
	    !map_queue(&xr->completion, xdp->xsk, XDP_UMEM_PGOFF_COMPLETION_RING, &offsets.cr, xdp->completion_ring,
		       sizeof(uint64_t))) {
		err = errno ? errno : ENOMEM;
		release_memory(xr);
		errno = err;
		return NULL;
	}
	for (uint32_t i = 0; i < xdp->rx_frames; i++)
		fill(xr, (uint64_t)i * xdp->frame_size);
	for (uint32_t i = xdp->rx_frames; i < xdp->frames; i++)
		xr->tx_free[xr->tx_free_count++] = (uint64_t)i * xdp->frame_size;
	return &xr->ring;
}
