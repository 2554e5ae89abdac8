/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "endpoint/dpdk/ring_dpdk.h"

#include <string.h>

#include <rte_ethdev.h>
#include <rte_mbuf.h>

static unsigned dpdk_receive(struct ring *ring, struct ring_frame *frames, unsigned count)
{
	struct dpdk_ring *dr = (struct dpdk_ring *)ring;
	struct rte_mbuf *got[RING_BURST];
	unsigned taken = 0, n = rte_eth_rx_burst(dr->port, dr->queue, got, count < RING_BURST ? count : RING_BURST);

	for (unsigned i = 0; i < n; i++) {
		/* The stack takes whole frames. */
		if (got[i]->nb_segs != 1) {
			rte_pktmbuf_free(got[i]);
			dr->stats.rx_dropped++;
			continue;
		}
		frames[taken++] = (struct ring_frame){ rte_pktmbuf_mtod(got[i], uint8_t *),
						       rte_pktmbuf_data_len(got[i]), (uintptr_t)got[i] };
		dr->stats.rx_bytes += rte_pktmbuf_data_len(got[i]);
	}
	dr->stats.rx_frames += taken;
	return taken;
}

static void dpdk_release(struct ring *ring, const struct ring_frame *frame)
{
	(void)ring;
	rte_pktmbuf_free((struct rte_mbuf *)(uintptr_t)frame->id);
}

/* What the queue takes; the rest stays, in its order. */
static int dpdk_flush(struct ring *ring)
{
	struct dpdk_ring *dr = (struct dpdk_ring *)ring;
	uint16_t sent;

	if (!dr->count)
		return 0;
	sent = rte_eth_tx_burst(dr->port, dr->queue, dr->sending, dr->count);
	dr->stats.tx_wakeups++;
	dr->count -= sent;
	memmove(dr->sending, dr->sending + sent, dr->count * sizeof(dr->sending[0]));
	return 0;
}

static uint8_t *dpdk_reserve(struct ring *ring)
{
	struct dpdk_ring *dr = (struct dpdk_ring *)ring;

	if (dr->count == RING_BURST)
		dpdk_flush(ring);
	if (!dr->reserved && dr->count < RING_BURST)
		dr->reserved = rte_pktmbuf_alloc(dr->pool);
	if (!dr->reserved) {
		dr->stats.tx_full++;
		return NULL;
	}
	return rte_pktmbuf_mtod(dr->reserved, uint8_t *);
}

static void dpdk_submit(struct ring *ring, uint32_t len)
{
	struct dpdk_ring *dr = (struct dpdk_ring *)ring;

	dr->reserved->data_len = len;
	dr->reserved->pkt_len = len;
	dr->sending[dr->count++] = dr->reserved;
	dr->reserved = NULL;
	dr->stats.tx_frames++;
	dr->stats.tx_bytes += len;
}

static void dpdk_stats(struct ring *ring, struct ring_stats *stats)
{
	struct dpdk_ring *dr = (struct dpdk_ring *)ring;
	struct rte_eth_stats port;

	*stats = dr->stats;
	if (!rte_eth_stats_get(dr->port, &port))
		stats->rx_dropped += port.imissed + port.rx_nombuf;
}

/* The port goes on: the queue can be opened again. */
static void dpdk_close(struct ring *ring)
{
	struct dpdk_ring *dr = (struct dpdk_ring *)ring;

	dpdk_flush(ring);
	rte_pktmbuf_free_bulk(dr->sending, dr->count);
	rte_pktmbuf_free(dr->reserved);
	dr->count = 0;
	dr->reserved = NULL;
	__atomic_store_n(&dr->used, false, __ATOMIC_RELEASE);
}

const struct ring_ops dpdk_ops = {
	.receive = dpdk_receive,
	.release = dpdk_release,
	.reserve = dpdk_reserve,
	.submit = dpdk_submit,
	.flush = dpdk_flush,
	.stats = dpdk_stats,
	.close = dpdk_close,
};
