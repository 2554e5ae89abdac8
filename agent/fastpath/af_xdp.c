/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "fastpath/af_xdp.h"

#include <string.h>
#include <sys/socket.h>

#include <rte_errno.h>
#include <rte_mbuf.h>

#ifndef AF_XDP
#define AF_XDP 44 /* linux/socket.h, 4.18 */
#endif

void af_xdp_snapshot(struct af_xdp_sockets *sockets)
{
	memset(sockets, 0, sizeof(*sockets));
	for (int fd = 0; fd < (int)sizeof(sockets->bits) * 8; fd++) {
		socklen_t length = sizeof(int);
		int domain;

		if (!getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) && domain == AF_XDP)
			sockets->bits[fd / 64] |= 1ull << fd % 64;
	}
}

int af_xdp_new_socket(const struct af_xdp_sockets *before, const struct af_xdp_sockets *after)
{
	for (size_t i = 0; i < sizeof(after->bits) / sizeof(after->bits[0]); i++) {
		uint64_t added = after->bits[i] & ~before->bits[i];

		if (added)
			return i * 64 + __builtin_ctzll(added);
	}
	return -1;
}

struct rte_mempool *af_xdp_pool(const char *name, uint32_t count, uint16_t room)
{
	struct rte_pktmbuf_pool_private private = { .mbuf_data_room_size = room };
	struct rte_mempool *pool =
		rte_mempool_create_empty(name, count, sizeof(struct rte_mbuf) + room, AF_XDP_POOL_CACHE,
					 sizeof(private), SOCKET_ID_ANY, RTE_MEMPOOL_F_NO_IOVA_CONTIG);
	size_t size;

	if (!pool)
		return NULL;
	rte_pktmbuf_pool_init(pool, &private);
	size = (size_t)rte_mempool_calc_obj_size(pool->elt_size, pool->flags, NULL) * count;
	if (rte_mempool_populate_default(pool) < 0 || pool->nb_mem_chunks != 1 ||
	    STAILQ_FIRST(&pool->mem_list)->len > size + 4096) {
		rte_mempool_free(pool);
		rte_errno = ENOMEM;
		return NULL;
	}
	rte_mempool_obj_iter(pool, rte_pktmbuf_init, NULL);
	return pool;
}
