/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The ports: DPDK's devices, opened alike whatever their driver, and closed again. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "fastpath/fastpath_options.h"
#include "fastpath/sleeper.h"
#include "lib/fault.h"

struct rte_mempool;

struct port {
	uint16_t id;	  /* DPDK's, of its first device */
	uint16_t devices; /* 1, or one for each queue: then their numbers follow each other */
	char name[32];	  /* kernel interface, or the device's name where there is none */
	int if_index;	  /* 0 = no kernel interface */
	bool af_xdp;
	uint32_t mtu; /* read again by one thread while the others look at it */
	uint8_t mac[6];
	struct sleeper_queue *queues; /* one per receive queue, with DPDK's numbers for it */
};

struct ports {
	struct port list[FASTPATH_PORTS_MAX];
	size_t count;
	uint32_t queues;		      /* per port, the same for all */
	struct rte_mempool *sockets, *others; /* buffers of the AF_XDP ports, of the other ports; NULL where there are
					       * none */
};

/*
 * How many pairs of a receive and a transmit queue the kernel interface has: at least one. *apart: the AF_XDP driver of
 * 22.11 takes one queue at most per device there (it counts combined channels only, which a veth has not), so each
 * needs a device of its own.
 */
uint32_t ports_interface_queues(const char *interface, bool *apart);
/* MiB that so many AF_XDP and other ports take. */
uint32_t ports_memory_mib(size_t sockets, size_t others, uint32_t queues);
/* Opens and starts every device that the EAL found. */
int ports_open(struct ports *ports, const struct fastpath_options *options, struct fault *fault);
/* False, with the name of the port that has lost its interface, if one has. */
bool ports_present(const struct ports *ports, const char **lost);
/* Reads the MTUs of kernel interfaces again, and says which have changed. */
void ports_read_mtus(struct ports *ports);
void ports_close(struct ports *ports);
