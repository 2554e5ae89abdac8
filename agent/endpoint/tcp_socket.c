/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Sockets: lwIP's callbacks on one side, calls with the kernel's meaning on the other. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "endpoint/tcp_inside.h"

#define MERGE_WITHIN (100 * NS_PER_MS)

static const uint32_t DEAD_EVENTS = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP;

struct engine_socket *socket_new(struct engine *engine)
{
	struct engine_socket *socket = calloc(1, sizeof(*socket));

	if (!socket)
		return NULL;
	socket->engine = engine;
	socket->linger = -1;
	socket->rcvlowat = 1;
	socket->keep_idle = TCP_KEEPIDLE_DEFAULT;
	socket->keep_intvl = TCP_KEEPINTVL_DEFAULT;
	socket->keep_cnt = TCP_KEEPCNT_DEFAULT;
	socket->sndbuf = engine->config.send_buffer;
	socket->rcvbuf = engine->config.receive_buffer;
	DL_APPEND(engine->sockets, socket);
	return socket;
}

static void forget_ack(struct engine_socket *socket)
{
	if (!socket->ack_pending)
		return;
	DL_DELETE2(socket->engine->acks, socket, ack_prev, ack_next);
	socket->ack_pending = false;
}

void socket_free(struct engine_socket *socket)
{
	forget_ack(socket);
	queue_drop(&socket->queue, socket->queue.bytes);
	if (socket->listener) {
		DL_DELETE2(socket->listener->waiting, socket, waiting_prev, waiting_next);
		socket->listener->waiting_count--;
	}
	DL_DELETE(socket->engine->sockets, socket);
	free(socket);
}

void socket_detach(struct engine_socket *socket, int error)
{
	forget_ack(socket);
	socket->pcb = NULL;
	socket->connecting = false;
	socket->dead = true;
	socket->error = error;
	engine_notify(socket, DEAD_EVENTS | (error ? EPOLLERR : 0));
}

/* lwIP frees a connection in TIME_WAIT without a word. For the kernel, too, the socket has ended there. */
static void detach_time_wait(struct engine_socket *socket)
{
	if (socket->pcb && socket->pcb->state == TIME_WAIT) {
		tcp_arg(socket->pcb, NULL);
		tcp_recv(socket->pcb, NULL);
		tcp_sent(socket->pcb, NULL);
		tcp_err(socket->pcb, NULL);
		socket_detach(socket, 0);
	}
}

uint32_t socket_queued(const struct engine_socket *socket)
{
	return socket->pcb ? socket->pcb->snd_lbb - socket->pcb->lastack : 0;
}

static bool has_room(const struct engine_socket *socket)
{
	uint32_t queued = socket_queued(socket);

	/* As sk_stream_is_writeable(): the room is at least half of what is queued. */
	return queued < socket->sndbuf && socket->sndbuf - queued >= queued / 2 &&
	       socket->pcb->snd_queuelen < TCP_SND_QUEUELEN / 3 * 2;
}

static err_t on_receive(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err)
{
	struct engine_socket *socket = arg;

	if (!p) {
		socket->eof = true;
		if (pcb->state == TIME_WAIT)
			detach_time_wait(socket);
		else
			/* All that is true, as the kernel's sk_state_change() at a FIN wakes whoever waits, for
			 * whatever: with EPOLLET the room for more data is told once more. */
			engine_notify(socket, engine_ready(socket));
		return ERR_OK;
	}
	for (const struct pbuf *q = p; q; q = q->next)
		if (!queue_append(&socket->queue, q->payload, q->len)) {
			/* Acknowledged already: without memory for it, the connection cannot go on. */
			socket->engine->stats.no_memory++;
			pbuf_free(p);
			tcp_err(pcb, NULL);
			tcp_abort(pcb);
			socket_detach(socket, ENOMEM);
			return ERR_ABRT;
		}
	pbuf_free(p);
	if ((pcb->flags & TF_ACK_DELAY) && !socket->ack_pending) {
		socket->ack_pending = true;
		socket->ack_deadline = socket->engine->now + DELAYED_ACK_NS;
		DL_APPEND2(socket->engine->acks, socket, ack_prev, ack_next);
	}
	engine_notify(socket, EPOLLIN);
	return ERR_OK;
}

static err_t on_sent(void *arg, struct tcp_pcb *pcb, u16_t len)
{
	struct engine_socket *socket = arg;

	if (pcb->state == TIME_WAIT) {
		/* The last ACK of a simultaneous close. Data never comes with this change. */
		if (socket->eof)
			detach_time_wait(socket);
		return ERR_OK;
	}
	/* Our FIN is acknowledged, which happens once: the kernel's sk_state_change(), as at the peer's. */
	if (pcb->state == FIN_WAIT_2)
		engine_notify(socket, engine_ready(socket));
	if (socket->no_space && has_room(socket)) {
		socket->no_space = false;
		engine_notify(socket, EPOLLOUT);
	}
	return ERR_OK;
}

static void on_error(void *arg, err_t err)
{
	struct engine_socket *socket = arg;
	int error = 0;

	if (err == ERR_RST) {
		socket->engine->stats.reset++;
		error = socket->connecting ? ECONNREFUSED : socket->eof ? EPIPE : ECONNRESET;
	} else if (err == ERR_ABRT) {
		error = ETIMEDOUT;
	}
	socket_detach(socket, error);
}

static err_t on_connected(void *arg, struct tcp_pcb *pcb, err_t err)
{
	struct engine_socket *socket = arg;

	socket->connecting = false;
	socket->engine->stats.connected++;
	engine_notify(socket, EPOLLOUT);
	return ERR_OK;
}

void socket_apply_buffers(struct engine_socket *socket)
{
	struct tcp_pcb *pcb = socket->pcb;
	uint32_t most = socket->rcvbuf;

	if (!pcb || most <= pcb->rcv_wnd_max)
		return; /* a window that was offered is never taken back */
	if (pcb->state == SYN_SENT || pcb->state == CLOSED) {
		pcb->rcv_wnd_max = most;
		pcb->rcv_wnd = pcb->rcv_ann_wnd = TCPWND_MIN16(most);
		return;
	}
	tcpwnd_size_t before = TCP_WND_MAX(pcb);
	pcb->rcv_wnd_max = most;
	pcb->rcv_wnd += TCP_WND_MAX(pcb) - before;
}

void socket_attach(struct engine_socket *socket, struct tcp_pcb *pcb)
{
	socket->pcb = pcb;
	tcp_arg(pcb, socket);
	tcp_recv(pcb, on_receive);
	tcp_sent(pcb, on_sent);
	tcp_err(pcb, on_error);
	address_from_ip(&socket->local, &pcb->local_ip, pcb->local_port, socket->mapped);
	address_from_ip(&socket->peer, &pcb->remote_ip, pcb->remote_port, socket->mapped);
}

/* What a connection takes over from its listener (SO_KEEPALIVE: lwIP does it). */
static void inherit(struct engine_socket *socket, const struct engine_socket *listener, struct tcp_pcb *pcb)
{
	if (listener->nodelay)
		tcp_nagle_disable(pcb);
	pcb->keep_idle = listener->keep_idle;
	pcb->keep_intvl = listener->keep_intvl;
	pcb->keep_cnt = listener->keep_cnt;
	socket->sndbuf = listener->sndbuf;
	socket->rcvbuf = listener->rcvbuf;
	socket->linger = listener->linger;
	socket->rcvlowat = listener->rcvlowat;
	socket->cork = listener->cork;
	socket->mapped = listener->local.sa.sa_family == AF_INET6;
}

static err_t on_accept(void *arg, struct tcp_pcb *pcb, err_t err)
{
	struct engine_socket *listener = arg, *socket;

	if (!listener || !pcb)
		return ERR_VAL;
	socket = socket_new(listener->engine);
	if (!socket) {
		listener->engine->stats.no_memory++;
		return ERR_MEM;
	}
	inherit(socket, listener, pcb);
	socket->mapped = socket->mapped && IP_IS_V4_VAL(pcb->local_ip);
	socket_attach(socket, pcb);
	tcp_backlog_delayed(pcb);
	socket->listener = listener;
	DL_APPEND2(listener->waiting, socket, waiting_prev, waiting_next);
	listener->waiting_count++;
	listener->engine->stats.accepted++;
	engine_notify(listener, EPOLLIN);
	return ERR_OK;
}

static struct tcp_pcb *bound_pcb(const ip_addr_t *address, uint16_t port)
{
	struct tcp_pcb *pcb = tcp_new_ip_type(IP_GET_TYPE(address));

	if (!pcb)
		return NULL;
	ip_addr_copy(pcb->local_ip, *address);
	pcb->local_port = port;
	TCP_REG(&tcp_bound_pcbs, pcb);
	return pcb;
}

static bool listeners_clash(const ip_addr_t *a, const ip_addr_t *b)
{
	if (IP_IS_ANY_TYPE_VAL(*a) || IP_IS_ANY_TYPE_VAL(*b))
		return IP_IS_ANY_TYPE_VAL(*a) == IP_IS_ANY_TYPE_VAL(*b);
	return ip_addr_cmp(a, b);
}

int engine_listen(struct engine *engine, const union engine_address *local, int backlog, bool v6only,
		  struct engine_socket **listener)
{
	struct engine_socket *socket;
	struct tcp_pcb *pcb, *listening;
	ip_addr_t address;
	uint16_t port;
	bool mapped;

	if (!address_to_ip(local, &address, &port, &mapped))
		return -EAFNOSUPPORT;
	if (!port)
		return -EINVAL;
	if (IP_IS_V6(&address) && ip_addr_isany(&address) && !v6only)
		IP_SET_TYPE(&address, IPADDR_TYPE_ANY);
	for (const struct tcp_pcb_listen *other = tcp_listen_bucket(port); other; other = other->hash_next)
		if (other->local_port == port && listeners_clash(&other->local_ip, &address))
			return -EADDRINUSE;
	engine_update_clock(engine);
	socket = socket_new(engine);
	if (!socket)
		return -ENOMEM;
	pcb = bound_pcb(&address, port);
	listening = pcb ? tcp_listen_with_backlog(pcb, 1) : NULL;
	if (!listening) {
		if (pcb)
			tcp_abandon(pcb, 0);
		socket_free(socket);
		return -ENOMEM;
	}
	socket->pcb = listening;
	socket->is_listener = true;
	socket->v6only = v6only;
	socket->local = *local;
	tcp_arg(listening, socket);
	tcp_accept(listening, on_accept);
	engine_backlog(socket, backlog);
	*listener = socket;
	return 0;
}

void engine_backlog(struct engine_socket *listener, int backlog)
{
	/* The kernel's queue holds one more than it is asked for; half open connections count here as well. */
	uint32_t half_open = listener->engine->config.max_half_open;

	listener->backlog = backlog < 0 || backlog > 65535 ? 65535 : (uint32_t)backlog + 1;
	((struct tcp_pcb_listen *)listener->pcb)->backlog = listener->backlog + half_open;
}

struct engine_socket *engine_accept(struct engine_socket *listener)
{
	struct engine_socket *socket = listener->waiting;

	if (!socket)
		return NULL;
	DL_DELETE2(listener->waiting, socket, waiting_prev, waiting_next);
	listener->waiting_count--;
	socket->listener = NULL;
	if (socket->pcb)
		tcp_backlog_accepted(socket->pcb);
	return socket;
}

int engine_connect(struct engine *engine, const union engine_address *local, const union engine_address *peer,
		   struct engine_socket **result)
{
	struct engine_socket *socket;
	struct tcp_pcb *pcb;
	ip_addr_t from, to;
	uint16_t from_port, to_port;
	bool from_mapped, to_mapped;

	if (!address_to_ip(local, &from, &from_port, &from_mapped) || !address_to_ip(peer, &to, &to_port, &to_mapped))
		return -EAFNOSUPPORT;
	if (!from_port || !to_port || IP_GET_TYPE(&from) != IP_GET_TYPE(&to) || ip_addr_isany(&from) ||
	    ip_addr_isany(&to) || ip_addr_ismulticast(&to))
		return -EINVAL;
	if (tcp_pcb_find(&from, from_port, &to, to_port))
		return -EADDRNOTAVAIL;
	if (tcp_active_count + tcp_tw_count >= engine->config.max_connections)
		return -ENOBUFS;
	engine_update_clock(engine);
	socket = socket_new(engine);
	if (!socket)
		return -ENOMEM;
	pcb = bound_pcb(&from, from_port);
	if (!pcb) {
		socket_free(socket);
		return -ENOMEM;
	}
	socket->mapped = to_mapped;
	socket->connecting = true;
	ip_addr_copy(pcb->remote_ip, to);
	pcb->remote_port = to_port;
	socket_attach(socket, pcb);
	pcb->rcv_wnd_max = socket->rcvbuf;
	if (tcp_connect(pcb, &to, to_port, on_connected) != ERR_OK) {
		tcp_err(pcb, NULL);
		tcp_abandon(pcb, 0);
		socket_free(socket);
		return -ENOBUFS;
	}
	engine_touch(engine);
	*result = socket;
	return 0;
}

void engine_set_tag(struct engine_socket *socket, void *tag)
{
	socket->tag = tag;
}

void *engine_tag(const struct engine_socket *socket)
{
	return socket->tag;
}

void engine_local(const struct engine_socket *socket, union engine_address *address)
{
	*address = socket->local;
}

void engine_peer(const struct engine_socket *socket, union engine_address *address)
{
	*address = socket->peer;
}

bool engine_is_listener(const struct engine_socket *socket)
{
	return socket->is_listener;
}

int engine_state(const struct engine_socket *socket)
{
	static const uint8_t states[] = {
		[CLOSED] = KERNEL_CLOSE,	 [LISTEN] = KERNEL_LISTEN,	     [SYN_SENT] = KERNEL_SYN_SENT,
		[SYN_RCVD] = KERNEL_SYN_RECV,	 [ESTABLISHED] = KERNEL_ESTABLISHED, [FIN_WAIT_1] = KERNEL_FIN_WAIT1,
		[FIN_WAIT_2] = KERNEL_FIN_WAIT2, [CLOSE_WAIT] = KERNEL_CLOSE_WAIT,   [CLOSING] = KERNEL_CLOSING,
		[LAST_ACK] = KERNEL_LAST_ACK,	 [TIME_WAIT] = KERNEL_TIME_WAIT,
	};

	return socket->pcb ? states[socket->pcb->state] : KERNEL_CLOSE;
}

/* As the kernel's tcp_poll(). */
uint32_t engine_ready(const struct engine_socket *socket)
{
	bool no_more = socket->eof || socket->shut_read || socket->dead;
	bool no_write = socket->shut_write || socket->dead;
	uint32_t events = 0;

	if (socket->is_listener)
		return socket->waiting ? EPOLLIN : 0;
	if (socket->error)
		events |= EPOLLERR;
	if (socket->dead || (no_more && no_write))
		events |= EPOLLHUP;
	if (no_more)
		events |= EPOLLIN | EPOLLRDHUP;
	if (socket->connecting)
		return events;
	if (socket->queue.bytes >= socket->rcvlowat)
		events |= EPOLLIN;
	if (no_write || has_room(socket))
		events |= EPOLLOUT;
	return events;
}

uint32_t engine_unread(const struct engine_socket *socket)
{
	return socket->queue.bytes;
}

uint32_t engine_unsent(const struct engine_socket *socket)
{
	return socket_queued(socket);
}

int engine_take_error(struct engine_socket *socket)
{
	int error = socket->error;

	socket->error = 0;
	return error;
}

static size_t iov_size(const struct iovec *iov, int count)
{
	size_t size = 0;

	for (int i = 0; i < count; i++)
		size += iov[i].iov_len;
	return size;
}

/* The program has taken bytes: the window opens. */
static void open_window(struct engine_socket *socket, uint32_t bytes)
{
	while (socket->pcb && bytes) {
		u16_t part = bytes < 0xffff ? (u16_t)bytes : 0xffff;
		tcp_recved(socket->pcb, part);
		bytes -= part;
	}
}

ssize_t engine_read(struct engine_socket *socket, const struct iovec *iov, int count, int flags)
{
	uint32_t taken;

	if (socket->is_listener)
		return -ENOTCONN;
	if (!socket->queue.bytes) {
		if (socket->error)
			return -engine_take_error(socket);
		if (socket->eof || socket->shut_read || socket->dead)
			return 0;
		return socket->connecting ? -ENOTCONN : -EAGAIN;
	}
	if (flags & MSG_TRUNC) {
		size_t size = iov_size(iov, count);
		taken = size < socket->queue.bytes ? (uint32_t)size : socket->queue.bytes;
	} else {
		taken = queue_copy(&socket->queue, iov, count);
	}
	if (flags & MSG_PEEK)
		return taken;
	queue_drop(&socket->queue, taken);
	engine_update_clock(socket->engine);
	open_window(socket, taken);
	return taken;
}

/*
 * The last frame of this connection still waits in the ring, and nothing has followed it: its data leaves with what is
 * written now, or with the FIN. A header and a body that were written one after the other are one segment.
 *
 * Not after MERGE_WITHIN: then the agent may be sending what waits here (broker.c, send_kept), 200 ms at the earliest.
 * Not where the peer has no room for a full segment: what could leave now would wait for more room.
 */
static void take_back(struct engine_socket *socket)
{
	struct engine *engine = socket->engine;
	struct tcp_pcb *pcb = socket->pcb;
	struct tcp_seg **at;

	if (engine->last != pcb || engine->last_count != engine->stats.segments_out || !engine->config.alone ||
	    !*engine->config.alone || engine->now - engine->submitted_at > MERGE_WITHIN)
		return;
	if ((pcb->state != ESTABLISHED && pcb->state != CLOSE_WAIT) || pcb->unsent || !pcb->unacked ||
	    pcb->snd_nxt - pcb->lastack + pcb->mss > LWIP_MIN(pcb->snd_wnd, pcb->cwnd))
		return;
	for (at = &pcb->unacked; (*at)->next; at = &(*at)->next)
		;
	if (lwip_ntohl((*at)->tcphdr->seqno) + (*at)->len != pcb->snd_nxt || (*at)->len >= pcb->mss ||
	    !ring_withdraw(engine->ring))
		return;
	pcb->snd_nxt -= (*at)->len;
	pcb->unsent = *at;
	*at = NULL;
	engine->last = NULL;
	engine->stats.segments_out--;
}

/* Sends what may leave, and remembers whose data is in the last frame. */
static void put_out(struct engine_socket *socket)
{
	struct engine *engine = socket->engine;
	struct tcp_pcb *pcb = socket->pcb;
	uint32_t before = pcb->snd_nxt;

	tcp_output(pcb);
	if (pcb->unsent || pcb->snd_nxt == before)
		return;
	engine->last = pcb;
	engine->last_count = engine->stats.segments_out;
}

ssize_t engine_write(struct engine_socket *socket, const struct iovec *iov, int count, int flags)
{
	struct tcp_pcb *pcb = socket->pcb;
	bool hold = socket->cork || (flags & MSG_MORE);
	size_t left = iov_size(iov, count), done = 0;

	if (socket->is_listener)
		return -EPIPE;
	if (socket->error)
		return -engine_take_error(socket);
	if (socket->connecting)
		return -EAGAIN;
	if (socket->shut_write || !pcb)
		return -EPIPE;
	engine_update_clock(socket->engine);
	if (!hold && left)
		take_back(socket);
	for (int i = 0; i < count; i++) {
		for (size_t at = 0; at < iov[i].iov_len;) {
			uint32_t queued = socket_queued(socket);
			size_t part = iov[i].iov_len - at;
			if (queued >= socket->sndbuf)
				goto full;
			part = part < socket->sndbuf - queued ? part : socket->sndbuf - queued;
			part = part < 0xffff ? part : 0xffff;
			u8_t api = TCP_WRITE_FLAG_COPY | (hold || part < left ? TCP_WRITE_FLAG_MORE : 0);
			if (tcp_write(pcb, (const uint8_t *)iov[i].iov_base + at, (u16_t)part, api) != ERR_OK)
				goto full;
			at += part;
			done += part;
			left -= part;
		}
	}
full:
	if (left)
		socket->no_space = true;
	/* What is held back leaves as full segments; the rest at the latest with the next tick. */
	if (!hold || left || (pcb->unsent && pcb->unsent->next))
		put_out(socket);
	engine_touch(socket->engine);
	return done || !left ? (ssize_t)done : -EAGAIN;
}

int engine_shutdown(struct engine_socket *socket, int how)
{
	if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR)
		return -EINVAL;
	if (socket->is_listener || !socket->pcb || socket->connecting)
		return -ENOTCONN;
	engine_update_clock(socket->engine);
	if (how != SHUT_WR)
		socket->shut_read = true;
	if (how != SHUT_RD && !socket->shut_write) {
		socket->shut_write = true;
		tcp_shutdown(socket->pcb, 0, 1);
		engine_touch(socket->engine);
	}
	engine_notify(socket, engine_ready(socket));
	return 0;
}

/* The pcb goes on, or ends, without this socket. */
static struct tcp_pcb *release_pcb(struct engine_socket *socket)
{
	struct tcp_pcb *pcb = socket->pcb;

	socket->pcb = NULL;
	if (pcb) {
		tcp_arg(pcb, NULL);
		tcp_recv(pcb, NULL);
		tcp_sent(pcb, NULL);
		tcp_err(pcb, NULL);
		pcb->connected = NULL;
		if (socket->listener)
			tcp_backlog_accepted(pcb);
	}
	return pcb;
}

static void close_listener(struct engine_socket *listener)
{
	while (listener->waiting)
		engine_abort(listener->waiting);
	tcp_close(listener->pcb);
	socket_free(listener);
}

void engine_close(struct engine_socket *socket)
{
	bool unread = socket->queue.bytes > 0;
	struct engine *engine = socket->engine;
	struct tcp_pcb *pcb;

	engine_update_clock(engine);
	if (socket->is_listener) {
		close_listener(socket);
		return;
	}
	if (unread || socket->linger == 0) {
		engine_abort(socket);
		return;
	}
	if (socket->pcb)
		take_back(socket);
	pcb = release_pcb(socket);
	if (pcb) {
		pcb->rcv_wnd = TCP_WND_MAX(pcb); /* all was read: lwIP takes less for unread data and resets */
		tcp_close(pcb);
		engine_touch(engine);
	}
	socket_free(socket);
}

void engine_abort(struct engine_socket *socket)
{
	struct tcp_pcb *pcb;

	if (socket->is_listener) {
		close_listener(socket);
		return;
	}
	engine_update_clock(socket->engine);
	pcb = release_pcb(socket);
	if (pcb)
		tcp_abandon(pcb, pcb->state != SYN_SENT);
	socket_free(socket);
}

void engine_drop(struct engine_socket *socket)
{
	struct tcp_pcb *pcb;

	if (socket->is_listener) {
		close_listener(socket);
		return;
	}
	pcb = release_pcb(socket);
	if (pcb) {
		moved_note(socket->engine, pcb);
		tcp_clear_flags(pcb, TF_ACK_DELAY); /* tcp_pcb_remove() would send it */
		tcp_abandon(pcb, 0);
	}
	socket_free(socket);
}
