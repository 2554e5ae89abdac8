/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * A ring over an AF_XDP socket, in two halves: the broker (privileged) opens and binds the socket; the program, which
 * has no privilege, maps it. What goes from the one to the other is struct ring_xdp: two descriptors and a few numbers.
 */
#ifndef AUTOCORK_ENDPOINT_RING_XDP_H
#define AUTOCORK_ENDPOINT_RING_XDP_H

#include <stdint.h>

#include "endpoint/ring.h"

struct ring_xdp {
	int xsk;	     /* the bound AF_XDP socket */
	int umem;	     /* a memfd of frames * frame_size bytes, sealed against a change of its size */
	uint32_t frames;     /* rx_frames of them are for receiving, the others for sending */
	uint32_t frame_size; /* a power of two, 2048 or 4096 */
	uint32_t rx_frames;
	uint32_t rx_ring, tx_ring, fill_ring, completion_ring; /* entries, powers of two */
	uint32_t mtu;
};

/* Ring sizes for this many frames each way (a power of two). The descriptors are -1. */
void ring_xdp_sizes(struct ring_xdp *xdp, uint32_t frames_each_way, uint32_t mtu);

/*
 * The broker's half: memfd, UMEM, socket, rings, bind. It does not touch xsks_map. bind_flags: XDP_COPY, XDP_ZEROCOPY
 * or 0; XDP_USE_NEED_WAKEUP is always added. 0, or -errno with what failed in *what; on an error nothing stays open.
 */
int ring_xdp_open(struct ring_xdp *xdp, int ifindex, uint32_t queue, uint16_t bind_flags, const char **what);

/*
 * The program's half. It takes both descriptors over: ring_close() closes them and unmaps everything, which gives the
 * queue back. The mappings are not inherited by fork(). NULL with errno on an error; the descriptors then stay the
 * caller's.
 */
struct ring *ring_xdp_attach(const struct ring_xdp *xdp);

#endif
