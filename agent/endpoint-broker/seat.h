/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* A queue of an interface that belongs to a program: its place in the steering's tables. */
#pragma once
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "endpoint/ring_xdp.h"
#include "lib/fault.h"
#include "steer/steer_tables.h"

struct seat {
	char interface[IF_NAMESIZE];
	int index;
	uint32_t queue;
	int xsk;  /* -1: none */
	int door; /* a map of struct steer_door, which the program maps */
	struct steer_tables tables;
};

/*
 * Opens an AF_XDP socket and puts it into the steering's map, with no port yet. ring->umem is the caller's to close,
 * the socket stays the seat's. 0, or a negative errno: -EBUSY if somebody has the queue.
 */
int seat_take(struct seat *seat, const char *interface, uint32_t queue, uint32_t frames, struct ring_xdp *ring,
	      struct fault *fault);
/*
 * A queue that a program had from an agent before: its place is still there, or empty. The socket is copied. 0, or a
 * negative errno: -EEXIST if another socket is in the place.
 */
int seat_join(struct seat *seat, const char *interface, uint32_t queue, int xsk, struct fault *fault);
/* Forgets the ports of queues that have no socket: what programs left behind that ended while no agent ran. */
void seats_sweep(const char *interface);
/* Closes the socket. Without `keep` it is also taken out of the tables. */
void seat_leave(struct seat *seat, bool keep);
/* New connections to the port come to the queue; 0 or -1 with errno. */
int seat_open_port(struct seat *seat, uint16_t port);
void seat_close_port(struct seat *seat, uint16_t port);
/* The interface may have been detached and attached again: its tables are new. */
void seat_refresh(struct seat *seat);
