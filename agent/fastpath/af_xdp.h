/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What DPDK 22.11's AF_XDP driver needs of its user beside the calls of every driver. */
#pragma once
#include <stdint.h>

#define AF_XDP_POOL_CACHE 256 /* per core */

struct rte_mempool;

/*
 * DPDK 22.11's AF_XDP driver has no receive interrupts and does not show its sockets, so they are found as the AF_XDP
 * sockets that setting the queue up added to this process. `before` and `after` are snapshots; returns the new
 * descriptor or -1.
 */
struct af_xdp_sockets {
	uint64_t bits[1024 / 64]; /* descriptors above 1023 are not seen: such a queue has none */
};
void af_xdp_snapshot(struct af_xdp_sockets *sockets);
int af_xdp_new_socket(const struct af_xdp_sockets *before, const struct af_xdp_sockets *after);

/*
 * The AF_XDP driver of 22.11 registers "buffers times their size" bytes from the first buffer on with the kernel. A
 * pool as rte_pktmbuf_pool_create() makes it has gaps, so that no buffer lies across two pages: with normal pages a
 * third of its buffers would be outside, and what they carry lost. NO_IOVA_CONTIG leaves no gaps; but such buffers have
 * no address for hardware, so other ports have a pool of their own.
 */
struct rte_mempool *af_xdp_pool(const char *name, uint32_t count, uint16_t room);
