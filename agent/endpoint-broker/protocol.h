/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What a program under `autocork run` and the broker in the agent say to each other, on a Unix SOCK_SEQPACKET. One message
 * is one request or one answer; descriptors travel beside it (SCM_RIGHTS). A conversation is one instance: when it ends, the
 * broker takes the queue back.
 *
 *   OPEN      with a listening TCP socket      -> a queue: its AF_XDP socket, its memory, a page for statistics
 *   JOIN      with an AF_XDP socket            -> the queue that the program had from an agent before; a page
 *   LISTEN    with a listening TCP socket      -> from now on the queue gets the new connections to its port
 *   UNLISTEN  with a port                      -> the kernel gets them again
 *   HANDOVER  with a connection, and its bytes -> a kernel socket that goes on with the connection
 *
 * The listening socket is the proof: who holds it was allowed to bind its port.
 */
#pragma once
#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "endpoint/handover.h"
#include "endpoint/ring_xdp.h"

#define ENDPOINT_SOCKET "/run/autocork/endpoint.sock"
#define ENDPOINT_VERSION 2
#define ENDPOINT_BYTES_MAX (16u << 20)	/* of one connection that is handed over */
#define ENDPOINT_FDS_MAX 3

enum endpoint_op { ENDPOINT_OPEN, ENDPOINT_JOIN, ENDPOINT_LISTEN, ENDPOINT_UNLISTEN, ENDPOINT_HANDOVER, ENDPOINT_OP_MAX };

struct endpoint_request {
	uint32_t version;
	uint32_t op;		/* enum endpoint_op */
	uint32_t port;		/* UNLISTEN */
	uint32_t bytes;		/* HANDOVER: in the memfd that comes along */
	uint32_t queue;		/* JOIN */
	char interface[IF_NAMESIZE]; /* JOIN, and OPEN (of the queue that is wanted; empty: a policy's), ended by a zero */
	struct handover connection;
};

struct endpoint_answer {
	uint32_t version;
	int32_t error;		/* 0, or an errno value */
	/* OPEN */
	struct ring_xdp ring;	/* its descriptors come beside it */
	int32_t index;		/* of the interface */
	uint32_t queue;
	char interface[IF_NAMESIZE];
	/* HANDOVER */
	uint32_t taken;		/* bytes that were not sent yet and that the kernel has taken */
	char text[200];		/* why not, ended by a zero */
};

/* What a program tells of itself in the page that it shares with the broker. The broker believes none of it. */
struct endpoint_page {
	uint32_t version;
	uint32_t connections, half_open, time_wait, listeners;
	uint64_t accepted, reset, segments_in, segments_out, retransmitted, bad_frame, bad_checksum, no_memory, limit_hit;
	uint64_t no_neighbour, rx_dropped, tx_full;
	uint64_t handed_over, handover_failed;
	uint64_t polls, sleeps;	/* looks at the ring, and waits in the kernel */
};
#define ENDPOINT_PAGE_SIZE 4096

/* How many descriptors a request comes with. */
unsigned endpoint_request_fds(uint32_t op);
/* Is this a whole request of this version, with as many descriptors as its op needs? The reason in *text if not. */
bool endpoint_request_valid(const void *bytes, size_t size, unsigned fds, const char **text);
