/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * TCP in user space: sockets over a ring. No call blocks, none starts a thread. The stack runs inside engine_poll() and
 * inside the calls below; whoever calls holds one lock per engine. One engine per copy of this library (lwIP has
 * globals): engine_create() a second time gives EBUSY.
 *
 * Errors are negative errno values, the ones the kernel would give. -EOPNOTSUPP from an option says: not on the stack,
 * hand the connection over (handover.h).
 */
#ifndef AUTOCORK_ENDPOINT_ENGINE_H
#define AUTOCORK_ENDPOINT_ENGINE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "endpoint/ring.h"

struct engine;
struct engine_socket; /* a listener or a connection; lives until the caller closes, aborts or drops it */

#define ENGINE_NEVER UINT64_MAX /* no deadline */
#define ENGINE_ADDRESSES 32

union engine_address {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

struct engine_config {
	struct ring *ring; /* stays the caller's; it outlives the engine */
	uint8_t mac[6];	   /* of the interface */
	/* Local addresses of the interface (ports are ignored). A frame for another address is not taken. */
	union engine_address addresses[ENGINE_ADDRESSES];
	unsigned address_count;

	/* The MAC of the next hop to this address; false: unknown. Without one the peer's own frames tell. May be
	 * NULL. */
	bool (*neighbour)(void *context, const union engine_address *destination, uint8_t mac[6]);
	/*
	 * An edge: events (EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLHUP, EPOLLERR) have just become true, or true once more
	 * (new data: EPOLLIN again), as the kernel's wake-ups do. Called inside any engine call; it may only take a
	 * note.
	 */
	void (*notify)(void *context, struct engine_socket *socket, uint32_t events);
	/* As __libc_single_threaded, which changes: no other thread waits on the ring now. NULL: one may. */
	const char *alone;
	/* For tests: the time instead of CLOCK_MONOTONIC, in ns. NULL outside of them. */
	uint64_t (*clock)(void *context);
	void *context;

	/* Limits; 0 is the default in brackets. */
	uint32_t max_connections; /* [65536] with those in TIME_WAIT and those not accepted yet */
	uint32_t max_half_open;	  /* [16384] SYN received */
	uint32_t max_time_wait;	  /* [16384] the oldest goes first */
	uint32_t receive_buffer;  /* [1 MB] of a connection, at most 4 MB */
	uint32_t send_buffer;	  /* [1 MB] of a connection, at most 4 MB */
};

struct engine *engine_create(const struct engine_config *config); /* NULL with errno */
/* Sends RST on every connection, as the death of a process does. Frees every socket. */
void engine_destroy(struct engine *engine);

/* Addresses, MAC, MTU or neighbours have changed. */
int engine_set_addresses(struct engine *engine, const union engine_address *addresses, unsigned count);
void engine_set_link(struct engine *engine, const uint8_t mac[6], uint32_t mtu);

/*
 * Time. now is CLOCK_MONOTONIC in ns. engine_poll() takes at most budget bursts from the ring (0: until it is empty),
 * runs what is due, and flushes. It returns the number of frames. Every call that sends leaves its frames in the ring:
 * engine_flush() or the next engine_poll() sends them. engine_deadline(): when engine_poll() has to run although no
 * frame came (ENGINE_NEVER: an idle instance needs no wake-up). Asked anew after every call.
 */
unsigned engine_poll(struct engine *engine, uint64_t now, unsigned budget);
int engine_flush(struct engine *engine);
/* engine_poll() that flushes nothing, for a caller who then waits, and who asks before whether that wait sends. */
unsigned engine_run(struct engine *engine, uint64_t now, unsigned budget);
bool engine_leaves_with_wait(struct engine *engine);
uint64_t engine_deadline(const struct engine *engine);

/* A wildcard address listens on all. v6only is for an IPv6 wildcard. -EADDRINUSE, -EADDRNOTAVAIL, -ENOMEM. */
int engine_listen(struct engine *engine, const union engine_address *local, int backlog, bool v6only,
		  struct engine_socket **listener);
void engine_backlog(struct engine_socket *listener, int backlog);
/* Its connections whose handshake is not complete. */
uint32_t engine_half_open(const struct engine_socket *listener);
/* A connection that waits in the listener; NULL: none. */
struct engine_socket *engine_accept(struct engine_socket *listener);
/* local: with address and port, which the caller has reserved. 0: it has begun; EPOLLOUT or EPOLLERR tells the end. */
int engine_connect(struct engine *engine, const union engine_address *local, const union engine_address *peer,
		   struct engine_socket **socket);

void engine_set_tag(struct engine_socket *socket, void *tag);
void *engine_tag(const struct engine_socket *socket);
void engine_local(const struct engine_socket *socket, union engine_address *address);
void engine_peer(const struct engine_socket *socket, union engine_address *address);
bool engine_is_listener(const struct engine_socket *socket);
int engine_state(const struct engine_socket *socket); /* TCP_ESTABLISHED and so on, of <netinet/tcp.h> */

uint32_t engine_ready(const struct engine_socket *socket);  /* the level: what poll() would say now */
uint32_t engine_unread(const struct engine_socket *socket); /* FIONREAD */
uint32_t engine_unsent(const struct engine_socket *socket); /* SIOCOUTQ: not acknowledged, sent or not */
int engine_take_error(struct engine_socket *socket);	    /* SO_ERROR: a positive errno, then 0 */

/* flags: MSG_PEEK; MSG_TRUNC throws the bytes away. 0: end of the stream. -EAGAIN, -ECONNRESET, -ENOTCONN. */
ssize_t engine_read(struct engine_socket *socket, const struct iovec *iov, int count, int flags);
/* flags: MSG_MORE. A part may be taken. -EAGAIN, -EPIPE, -ECONNRESET, -ENOTCONN. */
ssize_t engine_write(struct engine_socket *socket, const struct iovec *iov, int count, int flags);
int engine_shutdown(struct engine_socket *socket, int how);
/* The socket is gone for the caller. Unread data: RST. Else the stack sends the rest and FIN (SO_LINGER 0: RST). */
void engine_close(struct engine_socket *socket);
void engine_abort(struct engine_socket *socket); /* RST, and gone */
void engine_drop(struct engine_socket *socket);	 /* no segment, and gone: after a hand-over */

/*
 * Levels and names are the kernel's: SO_KEEPALIVE, SO_SNDBUF, SO_RCVBUF, SO_LINGER, SO_ERROR, SO_RCVLOWAT; TCP_NODELAY,
 * TCP_CORK, TCP_MAXSEG, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT, TCP_USER_TIMEOUT, TCP_QUICKACK, TCP_INFO. -EINVAL,
 * -EOPNOTSUPP. Accepted connections inherit from the listener.
 */
int engine_set_option(struct engine_socket *socket, int level, int name, const void *value, socklen_t len);
int engine_get_option(const struct engine_socket *socket, int level, int name, void *value, socklen_t *len);

struct engine_stats {
	uint32_t connections, half_open, time_wait, listeners, neighbours; /* now */
	uint64_t accepted, connected, refused, reset;
	uint64_t segments_in, segments_out, retransmitted;
	uint64_t bad_frame, bad_checksum, not_ours, no_neighbour, no_memory;
	uint64_t moved;		/* late frames of connections that were handed over */
	uint64_t limit_hit;	/* a SYN that max_connections, max_half_open or a backlog turned away */
	uint64_t challenge_ack; /* RFC 5961 */
	uint64_t paws_dropped;	/* RFC 7323 */
	struct ring_stats ring;
};
/* More handshakes are open than honest clients leave; once it `was` so, until a quarter of that is left. */
bool engine_is_flooded(const struct engine *engine, bool was);
void engine_stats(struct engine *engine, struct engine_stats *stats);

/* Every socket in turn (status, flows, hand-over of all): the callback may close the one that it got. */
void engine_each(struct engine *engine, void (*each)(void *context, struct engine_socket *socket), void *context);

#endif
