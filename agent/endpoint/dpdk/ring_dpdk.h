/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* A queue of a DPDK port as a ring, which dpdk_port.c sets up. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "endpoint/ring.h"

struct rte_mbuf;
struct rte_mempool;

struct dpdk_ring {
	struct ring ring;
	uint16_t port, queue;
	bool used;
	struct rte_mempool *pool;
	struct rte_mbuf *reserved;
	struct rte_mbuf *sending[RING_BURST];
	uint16_t count; /* of these */
	struct ring_stats stats;
};

extern const struct ring_ops dpdk_ops;
