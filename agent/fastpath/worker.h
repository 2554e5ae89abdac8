/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * A worker: one core that runs its queues to completion. A lane is one receive queue and the transmit queue of the same
 * number that its frames leave by; all lanes of one queue number are on one core, so no queue is ever touched by two.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "fastpath-client/fastpath_stats.h"
#include "fastpath/coalesce.h"
#include "fastpath/fastpath_options.h"
#include "fastpath/ports.h"
#include "fastpath/sleeper.h"

#define BURST 32 /* frames per look at a queue; the AF_XDP driver takes no more */

struct rte_mbuf;
struct worker;

struct lane {
	struct worker *worker;
	const struct sleeper_queue *in, *out; /* DPDK's numbers of the receive queue, and of the transmit queue */
	const struct port *to;		      /* the port that it sends by */
	uint32_t mtu;			      /* of that port, when it was looked at last */
	uint16_t pending_count;
	uint64_t pending_bytes;
	struct rte_mbuf *pending[BURST]; /* to be sent */
	struct coalescer *coalescer;	 /* NULL: other jobs */
	struct rte_mempool *copies;	 /* frames must be copied to here before they leave; NULL: as they are */
	struct reflect_options reflect;
	struct reflect_state reflected;
	struct fastpath_queue *counters;
};

/* What all workers share. */
struct workers {
	const struct fastpath_options *options;
	struct ports *ports;
	struct fastpath_file *file;
	int wake_fd; /* readable once the process shall stop */
	volatile bool *stop;
	uint64_t cycles_per_second;
	const char *lost; /* port whose interface vanished */
	struct worker *list;
	uint32_t count;
	struct mss_table *mss[FASTPATH_PORTS_MAX / 2]; /* one for each pair of ports */
};

struct worker {
	struct workers *all;
	uint32_t number; /* 0 keeps house: the heartbeat, the look for vanished interfaces */
	unsigned int core;
	struct lane *lanes;
	uint32_t lane_count;
	struct sleeper sleeper;
	uint64_t next_tick; /* in cycles */
};

/* Makes a worker for each queue number, at most `cores` of them, and gives each lane its counters in the file. */
int workers_make(struct workers *all, uint32_t cores, struct fault *fault);
void workers_free(struct workers *all);
/* The loop; returns when *stop is set, having sent what was held. For rte_eal_remote_launch(). */
int worker_run(void *worker);
