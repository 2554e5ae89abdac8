/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What a program under `autocork run` and the broker in the agent say to each other, on a Unix SOCK_SEQPACKET. One
 * message is one request or one answer; descriptors travel beside it (SCM_RIGHTS). A conversation is one instance: when
 * it ends, the broker takes the queue back.
 *
 *   OPEN      with a listening TCP socket      -> a queue: its AF_XDP socket, its memory, a page for statistics,
 *                                                a page of the ports that it closes itself (struct steer_door)
 *   JOIN      with an AF_XDP socket            -> the queue that the program had from an agent before; both pages
 *   LISTEN    with a listening TCP socket      -> from now on the queue gets the new connections to its port
 *   UNLISTEN  with a port                      -> the kernel gets them again
 *   HANDOVER  with a connection, and its bytes -> a kernel socket that goes on with the connection
 *
 * Unasked, the broker sends an answer with `move` set: the connections to this port are to be handed over, for the
 * policy is gone.
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
#define ENDPOINT_VERSION 5
#define ENDPOINT_BYTES_MAX (16u << 20) /* of one connection that is handed over */
#define ENDPOINT_FDS_MAX 4
#define ENDPOINT_PORTS_MAX 64 /* of one program */

enum endpoint_op {
	ENDPOINT_OPEN,
	ENDPOINT_JOIN,
	ENDPOINT_LISTEN,
	ENDPOINT_UNLISTEN,
	ENDPOINT_HANDOVER,
	ENDPOINT_OP_MAX
};

/* Why a connection moves to the kernel. X(id, name in JSON and metrics) */
#define ENDPOINT_REASONS(X) \
	X(FORK, "fork") \
	X(EXEC, "exec") \
	X(EXIT, "exit") \
	X(PASSED, "passed") \
	X(OPTION, "option") \
	X(STDIO, "stdio") \
	X(SPLICE, "splice") \
	X(URGENT, "urgent") \
	X(BULK, "bulk") \
	X(CLOSED, "closed") \
	X(POLICY, "policy")
enum endpoint_reason {
#define X(id, name) ENDPOINT_FOR_##id,
	/* clang-format off */
	ENDPOINT_REASONS(X)
#undef X
	ENDPOINT_REASON_MAX,
	/* clang-format on */
};
extern const char *const endpoint_reasons[ENDPOINT_REASON_MAX];

struct endpoint_request {
	uint32_t version;
	uint32_t op;		     /* enum endpoint_op */
	uint32_t port;		     /* UNLISTEN */
	uint32_t bytes;		     /* HANDOVER: in the memfd that comes along */
	uint32_t reason;	     /* HANDOVER: enum endpoint_reason */
	uint32_t queue;		     /* JOIN */
	char interface[IF_NAMESIZE]; /* JOIN, and OPEN (of the queue that is wanted; empty: a policy's), ended by a zero
				      */
	struct handover connection;
};

struct endpoint_answer {
	uint32_t version;
	int32_t error; /* 0, or an errno value */
	uint32_t move; /* a port; 0: this is an answer */
	/* OPEN */
	struct ring_xdp ring; /* its descriptors come beside it */
	int32_t index;	      /* of the interface */
	uint32_t queue;
	char interface[IF_NAMESIZE];
	/* HANDOVER */
	uint32_t taken; /* bytes that were not sent yet and that the kernel has taken */
	char text[200]; /* why not, ended by a zero */
};

/*
 * What a program tells of itself in the page that it shares with the broker. The broker believes none of it. X(name,
 * what the metric of it says)
 */
#define ENDPOINT_GAUGES(X) \
	X(connections, "Connections that programs serve themselves, in all states except TIME_WAIT.") \
	X(half_open, "Connections whose handshake is not complete.") \
	X(time_wait, "Connections in TIME_WAIT.") \
	X(listeners, "Listeners.") \
	X(neighbours, "Next hops whose link-layer address is known.")
#define ENDPOINT_COUNTERS(X) \
	X(accepted, "Connections whose handshake was completed.") \
	X(reset, "Connections that ended by a reset.") \
	X(segments_in, "TCP segments received.") \
	X(segments_out, "TCP segments sent, retransmissions included.") \
	X(retransmitted, "TCP segments retransmitted.") \
	X(bad_frame, "Frames dropped because they held no complete TCP segment for this program.") \
	X(bad_checksum, "Frames dropped because of a wrong checksum.") \
	X(no_memory, "Frames dropped or connections refused because memory ran out.") \
	X(limit_hit, \
	  "New connections not accepted because a limit was reached: open, half-open or waiting for accept().") \
	X(no_neighbour, "Segments not sent because the next hop's address was unknown.") \
	X(rx_dropped, "Frames that the kernel dropped because the program was too slow.") \
	X(tx_full, "Segments not sent at once because the transmit queue was full.") \
	X(handed_over, "Connections handed to the kernel while open.") \
	X(handover_failed, "Connections that could not move to the kernel.") \
	X(polls, "Times the receive ring was polled.") \
	X(sleeps, "Times a program slept in the kernel because there was nothing to do.")
struct endpoint_page {
	uint32_t version;
	uint64_t kept_since; /* CLOCK_MONOTONIC, ns: what waits in its ring for its next wait; 0: nothing */
#define X(name, help) uint32_t name;
	ENDPOINT_GAUGES(X)
#undef X
#define X(name, help) uint64_t name;
	ENDPOINT_COUNTERS(X)
#undef X
};
#define ENDPOINT_PAGE_SIZE 4096

/* How many descriptors a request comes with. */
unsigned endpoint_request_fds(uint32_t op);
/* Is this a whole request of this version, with as many descriptors as its op needs? The reason in *text if not. */
bool endpoint_request_valid(const void *bytes, size_t size, unsigned fds, const char **text);
