/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The kernel's side of a hand-over, by TCP_REPAIR (man 7 tcp; CRIU's way). The kernel can only be given an established
 * connection: our FIN follows by shutdown(), the peer's by a segment of our own to the socket.
 */
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <linux/ipv6.h>
#include <string.h>
#include <unistd.h>

#include "endpoint/handover.h"
#include "fastpath/checksum.h"

#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72 /* Linux 5.14 */
#endif
#define TCP_STATES 12
#define BUFFER_LIMIT (16u << 20)
#define BLOCK 16384

/* <netinet/tcp.h> has these and cannot be included beside <linux/tcp.h>. */
enum { ESTABLISHED = 1, FIN_WAIT1 = 4, FIN_WAIT2 = 5, CLOSE_WAIT = 8, LAST_ACK = 9, CLOSING = 11 };
enum { OPTION_MSS = 2, OPTION_WINDOW = 3, OPTION_SACK = 4, OPTION_TIMESTAMP = 8 };

static bool same_family(const struct handover *s)
{
	return s->local.sa.sa_family == s->peer.sa.sa_family &&
	       (s->local.sa.sa_family == AF_INET || s->local.sa.sa_family == AF_INET6) && s->local.in.sin_port &&
	       s->peer.in.sin_port;
}

bool handover_valid(const struct handover *s, uint64_t bytes)
{
	static const uint16_t STATES =
		1 << ESTABLISHED | 1 << FIN_WAIT1 | 1 << FIN_WAIT2 | 1 << CLOSE_WAIT | 1 << LAST_ACK | 1 << CLOSING;

	return same_family(s) && s->state < TCP_STATES && (STATES >> s->state & 1) && s->snd_wscale <= 14 &&
	       s->rcv_wscale <= 14 && s->mss >= 64 && s->max_window >= s->snd_wnd && s->snd_wnd <= 1u << 30 &&
	       s->rcv_wnd <= 1u << 30 && s->unread <= BUFFER_LIMIT && s->unacked <= BUFFER_LIMIT &&
	       s->unsent <= BUFFER_LIMIT && s->snd_nxt - s->snd_una == s->unacked &&
	       (uint64_t)s->unread + s->unacked + s->unsent == bytes;
}

static int set_number(int sock, int level, int name, uint32_t value)
{
	return setsockopt(sock, level, name, &value, sizeof(value)) ? -errno : 0;
}

static int set_queue(int sock, int queue, uint32_t seq)
{
	int err = set_number(sock, IPPROTO_TCP, TCP_REPAIR_QUEUE, queue);

	return err ? err : set_number(sock, IPPROTO_TCP, TCP_QUEUE_SEQ, seq);
}

static int fill_queue(int sock, int queue, const uint8_t *bytes, uint32_t len)
{
	int err = set_number(sock, IPPROTO_TCP, TCP_REPAIR_QUEUE, queue);

	while (!err && len) {
		ssize_t done = send(sock, bytes, len < BLOCK ? len : BLOCK, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (done < 0)
			return -errno;
		bytes += done;
		len -= (uint32_t)done;
	}
	return err;
}

static int set_options(int sock, const struct handover *s)
{
	struct tcp_repair_opt options[4];
	unsigned count = 0;

	options[count++] = (struct tcp_repair_opt){ OPTION_MSS, s->mss };
	if (s->window_scaled)
		options[count++] =
			(struct tcp_repair_opt){ OPTION_WINDOW, s->snd_wscale | (uint32_t)s->rcv_wscale << 16 };
	if (s->sack)
		options[count++] = (struct tcp_repair_opt){ OPTION_SACK, 0 };
	if (s->timestamps)
		options[count++] = (struct tcp_repair_opt){ OPTION_TIMESTAMP, 0 };
	return setsockopt(sock, IPPROTO_TCP, TCP_REPAIR_OPTIONS, options, count * sizeof(*options)) ? -errno : 0;
}

static int set_window(int sock, const struct handover *s)
{
	struct tcp_repair_window window = { .snd_wl1 = s->snd_wl1,
					    .snd_wnd = s->snd_wnd,
					    .max_window = s->max_window,
					    .rcv_wnd = s->rcv_wnd,
					    .rcv_wup = s->rcv_wup };

	return setsockopt(sock, IPPROTO_TCP, TCP_REPAIR_WINDOW, &window, sizeof(window)) ? -errno : 0;
}

/*
 * Buffers large enough for what is to be queued, then free again: a set size would end the kernel's tuning
 * (SO_BUF_LOCK; before Linux 5.14 the size stays).
 */
static int set_buffers(int sock, const struct handover *s)
{
	int err = set_number(sock, SOL_SOCKET, SO_SNDBUFFORCE, s->unacked + s->unsent + (1u << 20));

	return err ? err : set_number(sock, SOL_SOCKET, SO_RCVBUFFORCE, s->unread + s->rcv_wnd + (1u << 20));
}

static socklen_t address_len(const union engine_address *address)
{
	return address->sa.sa_family == AF_INET ? sizeof(address->in) : sizeof(address->in6);
}

int handover_restore(int sock, const struct handover *s, const void *buffer, const char **what)
{
	const uint8_t *bytes = buffer;
	int err;
	/* Bit 0 says microseconds since Linux 6.7 (614e8316aa4c); forward, as a peer drops what goes back (PAWS). */
	uint32_t clock = (s->ts_value + 2) & ~1u;

#define STEP(name, call) \
	do { \
		*what = name; \
		err = call; \
		if (err) \
			return err; \
	} while (0)
	STEP("SO_REUSEADDR", set_number(sock, SOL_SOCKET, SO_REUSEADDR, 1));
	STEP("TCP_REPAIR", set_number(sock, IPPROTO_TCP, TCP_REPAIR, TCP_REPAIR_ON));
	STEP("buffers", set_buffers(sock, s));
	STEP("send queue", set_queue(sock, TCP_SEND_QUEUE, s->snd_una));
	STEP("receive queue", set_queue(sock, TCP_RECV_QUEUE, s->rcv_nxt - s->unread));
	STEP("bind", bind(sock, &s->local.sa, address_len(&s->local)) ? -errno : 0);
	STEP("connect", connect(sock, &s->peer.sa, address_len(&s->peer)) ? -errno : 0);
	STEP("options", set_options(sock, s));
	if (s->timestamps)
		STEP("TCP_TIMESTAMP", set_number(sock, IPPROTO_TCP, TCP_TIMESTAMP, clock));
	STEP("unread bytes", fill_queue(sock, TCP_RECV_QUEUE, bytes, s->unread));
	STEP("unacknowledged bytes", fill_queue(sock, TCP_SEND_QUEUE, bytes + s->unread, s->unacked));
	STEP("window", set_window(sock, s));
#undef STEP
	return 0;
}

static void set_user_options(int sock, const struct handover *s)
{
	set_number(sock, IPPROTO_TCP, TCP_NODELAY, s->nodelay);
	set_number(sock, IPPROTO_TCP, TCP_CORK, s->cork);
	if (s->keepidle)
		set_number(sock, IPPROTO_TCP, TCP_KEEPIDLE, s->keepidle);
	if (s->keepintvl)
		set_number(sock, IPPROTO_TCP, TCP_KEEPINTVL, s->keepintvl);
	if (s->keepcnt)
		set_number(sock, IPPROTO_TCP, TCP_KEEPCNT, s->keepcnt);
	set_number(sock, SOL_SOCKET, SO_KEEPALIVE, s->keepalive);
	set_number(sock, SOL_SOCKET, SO_BUF_LOCK, 0);
	/* Leaving repair mode clears it, and the next server could not bind. */
	set_number(sock, SOL_SOCKET, SO_REUSEADDR, 1);
}

struct fin {
	struct tcphdr tcp;
	uint8_t options[12];
};

static void make_fin(struct fin *fin, const struct handover *s, uint32_t ack)
{
	uint32_t stamps[2] = { htonl(s->ts_recent), htonl(s->ts_value) };

	*fin = (struct fin){ .tcp = { .source = s->peer.in.sin_port,
				      .dest = s->local.in.sin_port,
				      .seq = htonl(s->rcv_nxt),
				      .ack_seq = htonl(ack),
				      .doff = 5,
				      .fin = 1,
				      .ack = 1,
				      .window = htons((uint16_t)(s->snd_wnd >> s->snd_wscale)) },
			     .options = { 1, 1, OPTION_TIMESTAMP, 10 } };
	memcpy(fin->options + 4, stamps, sizeof(stamps));
	if (s->timestamps)
		fin->tcp.doff = 8;
}

static bool is_ip4(const union engine_address *address)
{
	return address->sa.sa_family == AF_INET || IN6_IS_ADDR_V4MAPPED(&address->in6.sin6_addr);
}

static uint32_t ip4_of(const union engine_address *address)
{
	uint32_t ip;

	if (address->sa.sa_family == AF_INET)
		return address->in.sin_addr.s_addr;
	memcpy(&ip, address->in6.sin6_addr.s6_addr + 12, sizeof(ip));
	return ip;
}

/* The peer's FIN once more, from here to the socket: the peer, to which it was acknowledged, does not repeat it. */
static int repeat_fin(const struct handover *s, uint32_t ack)
{
	bool ip4 = is_ip4(&s->local);
	uint8_t packet[sizeof(struct ipv6hdr) + sizeof(struct fin)];
	struct sockaddr_in to4 = { .sin_family = AF_INET };
	struct sockaddr_in6 to6 = { .sin6_family = AF_INET6 };
	struct fin fin;
	uint64_t sum;
	uint32_t len;
	size_t header;
	int raw, err = 0;

	make_fin(&fin, s, ack);
	len = fin.tcp.doff * 4u;
	sum = (uint64_t)htons(IPPROTO_TCP) + htonl(len);
	if (ip4) {
		struct iphdr ip = { .version = 4,
				    .ihl = 5,
				    .ttl = 64,
				    .protocol = IPPROTO_TCP,
				    .saddr = ip4_of(&s->peer),
				    .daddr = ip4_of(&s->local),
				    .tot_len = htons((uint16_t)(sizeof(ip) + len)) };
		sum = sum_bytes(&ip.saddr, 8, sum);
		to4.sin_addr.s_addr = ip.daddr;
		header = sizeof(ip);
		memcpy(packet, &ip, header);
	} else {
		struct ipv6hdr ip = {
			.version = 6, .nexthdr = IPPROTO_TCP, .hop_limit = 64, .payload_len = htons((uint16_t)len)
		};
		memcpy(&ip.saddr, &s->peer.in6.sin6_addr, 16);
		memcpy(&ip.daddr, &s->local.in6.sin6_addr, 16);
		sum = sum_bytes(&ip.saddr, 32, sum);
		to6.sin6_addr = s->local.in6.sin6_addr;
		to6.sin6_scope_id = s->local.in6.sin6_scope_id;
		header = sizeof(ip);
		memcpy(packet, &ip, header);
	}
	fin.tcp.check = ~sum_fold(sum_bytes(&fin, len, sum));
	memcpy(packet + header, &fin, len);
	raw = socket(ip4 ? AF_INET : AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	if (raw < 0)
		return -errno;
	if (sendto(raw, packet, header + len, MSG_DONTWAIT, ip4 ? (struct sockaddr *)&to4 : (struct sockaddr *)&to6,
		   ip4 ? sizeof(to4) : sizeof(to6)) < 0)
		err = -errno;
	close(raw);
	return err;
}

int handover_start(int sock, const struct handover *s, const void *buffer, uint32_t *taken, const char **what)
{
	const uint8_t *unsent = (const uint8_t *)buffer + s->unread + s->unacked;
	int err;

	*taken = 0;
	/* From here on the kernel speaks: it sends a probe, whose answer tells the peer's window. */
	*what = "end of TCP_REPAIR";
	err = set_number(sock, IPPROTO_TCP, TCP_REPAIR, TCP_REPAIR_OFF);
	if (err)
		return err;
	set_user_options(sock, s);
	if (s->fin_received) {
		*what = "the peer's FIN";
		err = repeat_fin(s, s->snd_nxt);
		if (err)
			return err;
	}
	while (*taken < s->unsent) {
		ssize_t done = send(sock, unsent + *taken, s->unsent - *taken, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (done <= 0)
			break;
		*taken += (uint32_t)done;
	}
	if (s->fin_sent && *taken == s->unsent)
		shutdown(sock, SHUT_WR);
	return 0;
}
