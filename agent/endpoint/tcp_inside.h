/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What the engine's files share. lwIP's types are known here and nowhere outside of agent/endpoint. */
#ifndef AUTOCORK_ENDPOINT_INSIDE_H
#define AUTOCORK_ENDPOINT_INSIDE_H

#include <netinet/tcp.h>
#include <sys/epoll.h>

#include "endpoint/tcp_engine.h"

/* <netinet/tcp.h> and lwIP use some names alike. The kernel's states are needed as numbers only. */
enum kernel_state {
	KERNEL_ESTABLISHED = TCP_ESTABLISHED,
	KERNEL_SYN_SENT = TCP_SYN_SENT,
	KERNEL_SYN_RECV = TCP_SYN_RECV,
	KERNEL_FIN_WAIT1 = TCP_FIN_WAIT1,
	KERNEL_FIN_WAIT2 = TCP_FIN_WAIT2,
	KERNEL_TIME_WAIT = TCP_TIME_WAIT,
	KERNEL_CLOSE = TCP_CLOSE,
	KERNEL_CLOSE_WAIT = TCP_CLOSE_WAIT,
	KERNEL_LAST_ACK = TCP_LAST_ACK,
	KERNEL_LISTEN = TCP_LISTEN,
	KERNEL_CLOSING = TCP_CLOSING
};
enum kernel_option {
	KERNEL_NODELAY = TCP_NODELAY,
	KERNEL_MAXSEG = TCP_MAXSEG,
	KERNEL_CORK = TCP_CORK,
	KERNEL_KEEPIDLE = TCP_KEEPIDLE,
	KERNEL_KEEPINTVL = TCP_KEEPINTVL,
	KERNEL_KEEPCNT = TCP_KEEPCNT,
	KERNEL_QUICKACK = TCP_QUICKACK,
	KERNEL_INFO = TCP_INFO
};
#undef TCP_NODELAY
#undef TCP_MAXSEG
#undef TCP_MSS
#undef TCP_KEEPIDLE
#undef TCP_KEEPINTVL
#undef TCP_KEEPCNT

#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"

#define NS_PER_MS 1000000ull
#define TICK_NS (TCP_SLOW_INTERVAL * NS_PER_MS)
#define DELAYED_ACK_NS (40 * NS_PER_MS)
#define BUFFER_MAX (4u << 20)

/* Received bytes, in order, not read yet. */
struct chunk {
	struct chunk *next;
	uint32_t start, end, size;
	uint8_t data[];
};

struct receive_queue {
	struct chunk *first, *last;
	uint32_t bytes;
};

bool queue_append(struct receive_queue *queue, const void *data, uint32_t len);
uint32_t queue_copy(const struct receive_queue *queue, const struct iovec *iov, int count);
void queue_drop(struct receive_queue *queue, uint32_t bytes);

struct engine_socket {
	struct engine *engine;
	struct tcp_pcb *pcb; /* a listener's is a struct tcp_pcb_listen; NULL: the connection has ended */
	void *tag;
	union engine_address local, peer;
	struct engine_socket *prev, *next; /* of all sockets */

	/* A listener: connections that wait. A connection: its place among them. */
	struct engine_socket *listener;
	struct engine_socket *waiting, *waiting_prev, *waiting_next;
	uint32_t backlog, waiting_count;

	struct receive_queue queue;
	int error;
	uint32_t sndbuf, rcvbuf, rcvlowat;	  /* sndbuf and rcvbuf as the kernel reports them */
	int linger;				  /* s; -1: off */
	uint32_t keep_idle, keep_intvl, keep_cnt; /* a listener's, for its connections: ms, ms, probes */
	bool nodelay;
	bool is_listener, v6only;
	bool mapped; /* an IPv4 connection of an IPv6 socket */
	bool eof, shut_read, shut_write, connecting, no_space, cork, dead;

	/* A delayed ACK: its place in the engine's list, by deadline. */
	bool ack_pending;
	uint64_t ack_deadline;
	struct engine_socket *ack_prev, *ack_next;
};

#define NEIGHBOURS 1024 /* a power of two */

struct neighbour {
	ip_addr_t address;
	bool used, told, learned; /* told: by the callback, until `until` */
	uint8_t told_mac[6], learned_mac[6];
	uint64_t until;
};

#define MOVED 4096

struct moved {
	uint64_t key, until;
};

struct rx_frame;

struct engine {
	struct engine_config config;
	struct ring *ring;
	uint8_t mac[6];
	ip_addr_t addresses[ENGINE_ADDRESSES];
	unsigned address_count;
	uint64_t now, tick_at;
	struct engine_socket *sockets, *acks;
	struct rx_frame *rx_free;
	void *rx_all;
	uint32_t rx_held;
	bool submitted, tx_blocked;
	uint64_t submitted_at; /* the first of those that wait in the ring */
	/* Whose data is in the last frame, while it waits there alone of its kind; and segments_out then. */
	const struct tcp_pcb *last;
	uint64_t last_count;
	uint16_t ip_id;
	struct engine_stats stats;
	struct neighbour neighbours[NEIGHBOURS];
	uint32_t neighbour_count;
	uint64_t moved_until; /* none later than that */
	struct moved moved[MOVED];
};

extern struct engine *engine_current;
extern struct netif engine_netif;

/* frame.c: Ethernet and IP, both ways */
int frame_setup(struct engine *engine);
void frame_teardown(struct engine *engine);
void frame_input(struct engine *engine, const struct ring_frame *frame);

/* neighbour.c */
bool neighbour_find(struct engine *engine, const ip_addr_t *address, uint8_t mac[6]);
void neighbour_learn(struct engine *engine, const ip_addr_t *address, const uint8_t mac[6]);

/* moved.c */
void moved_note(struct engine *engine, const struct tcp_pcb *pcb);
bool moved_is(struct engine *engine, const ip_addr_t *local, uint16_t local_port, const ip_addr_t *peer,
	      uint16_t peer_port, bool syn);

/* address.c */
bool address_to_ip(const union engine_address *from, ip_addr_t *to, uint16_t *port, bool *mapped);
void address_from_ip(union engine_address *to, const ip_addr_t *from, uint16_t port, bool mapped);

/* secret.c: keys from getrandom() */
int secret_setup(void);

/* tcp_engine.c */
void engine_touch(struct engine *engine); /* a timer may be needed from here on */
void engine_update_clock(struct engine *engine);
void engine_notify(struct engine_socket *socket, uint32_t events);

/* tcp_socket.c */
struct engine_socket *socket_new(struct engine *engine);
void socket_detach(struct engine_socket *socket, int error); /* the pcb is gone, or no longer ours */
void socket_free(struct engine_socket *socket);
void socket_attach(struct engine_socket *socket, struct tcp_pcb *pcb);
uint32_t socket_queued(const struct engine_socket *socket);
void socket_apply_buffers(struct engine_socket *socket);

#endif
