/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * A server on the endpoint's engine, without the shim: what the client's kernel says to the engine itself.
 *
 *   engine_server OBJECT INTERFACE PORT [BYTES]
 *
 * Echoes. A connection whose first byte is 'S' gets a stream: "S<bytes>\n", and a FIN. One whose first byte is 'D' is
 * read to its end and answered with the number of bytes. 'C' is closed at once by the server. OBJECT: xdp_to_xsk.bpf.o.
 * With BYTES, a connection moves to the kernel, by TCP_REPAIR, after so many bytes read or written. A thread goes on
 * there. Prints "ready". On SIGTERM: statistics as key=value lines, wake-ups with them; for two seconds at most it
 * waits for connections that are at their end.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <err.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/if_link.h>
#include <linux/if_xdp.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "endpoint/handover.h"
#include "endpoint/ring_xdp.h"
#include "endpoint/tcp_engine.h"

#define BLOCK 65536

struct peer {
	char kind; /* E echo, S stream, D discard */
	uint64_t total, done, got;
	uint8_t buffer[BLOCK];
	size_t held;
	struct peer *next_ready;
	struct engine_socket *socket;
	bool ready, shut;
};

static struct engine *engine;
static struct engine_socket *listener;
static struct peer *ready_list;
static bool accept_ready;
static volatile sig_atomic_t stopping;
static uint64_t move_at, hand_overs;
static int64_t most_moved;
static unsigned states_moved;
static int moved_map;

static void stop(int signal)
{
	stopping = 1;
}

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void notify(void *context, struct engine_socket *socket, uint32_t events)
{
	struct peer *peer = engine_tag(socket);

	if (engine_is_listener(socket)) {
		accept_ready = true;
	} else if (peer && !peer->ready) {
		peer->ready = true;
		peer->next_ready = ready_list;
		ready_list = peer;
	}
}

/* A peer that ends may have been notified while it was served. */
static void forget(struct peer *peer)
{
	for (struct peer **at = &ready_list; *at; at = &(*at)->next_ready)
		if (*at == peer) {
			*at = peer->next_ready;
			return;
		}
}

static void fill(uint8_t *buffer, uint64_t at, size_t len)
{
	for (size_t i = 0; i < len; i++)
		buffer[i] = (uint8_t)((at + i) % 251);
}

/* The rest of a connection's life, on a kernel socket. */
struct moved_peer {
	struct peer *peer;
	int sock;
	uint8_t *first; /* bytes that go before everything else */
	size_t first_len;
	bool fin_after;
};

static bool put_all(int sock, const uint8_t *bytes, size_t len)
{
	while (len) {
		ssize_t done = send(sock, bytes, len, MSG_NOSIGNAL);
		if (done <= 0)
			return false;
		bytes += done;
		len -= (size_t)done;
	}
	return true;
}

static void *go_on(void *arg)
{
	struct moved_peer *moved = arg;
	struct peer *peer = moved->peer;
	bool good =
		put_all(moved->sock, moved->first, moved->first_len) && put_all(moved->sock, peer->buffer, peer->held);
	ssize_t got;

	if (good && moved->fin_after)
		shutdown(moved->sock, SHUT_WR);
	while (good && peer->kind == 'S' && peer->done < peer->total) {
		size_t want = peer->total - peer->done < BLOCK ? peer->total - peer->done : BLOCK;
		fill(peer->buffer, peer->done, want);
		good = put_all(moved->sock, peer->buffer, want);
		peer->done += want;
	}
	if (peer->kind == 'S')
		shutdown(moved->sock, SHUT_WR);
	while (good && (got = recv(moved->sock, peer->buffer, BLOCK, 0)) > 0) {
		peer->got += (uint64_t)got;
		if (peer->kind == 'E')
			good = put_all(moved->sock, peer->buffer, (size_t)got);
	}
	if (good && peer->kind == 'D') {
		char text[32];
		int len = snprintf(text, sizeof(text), "%llu\n", (unsigned long long)peer->got);
		put_all(moved->sock, (uint8_t *)text, (size_t)len);
	}
	close(moved->sock);
	free(moved->first);
	free(peer);
	free(moved);
	return NULL;
}

/* False: it stays here. */
static bool move(struct peer *peer)
{
	struct moved_peer *moved = calloc(1, sizeof(*moved));
	struct handover snapshot;
	const char *what = "";
	uint32_t taken = 0;
	uint8_t one = 1, *bytes;
	pthread_t thread;
	int64_t size = handover_take(peer->socket, &snapshot, NULL, 0);

	if (size < 0)
		return false;
	bytes = malloc((size_t)size + 1);
	size = handover_take(peer->socket, &snapshot, bytes, (uint64_t)size);
	if (!handover_valid(&snapshot, (uint64_t)size))
		errx(1, "a snapshot that is not valid: state %d, mss %u, una %u nxt %u, %u + %u + %u bytes of %lld",
		     snapshot.state, snapshot.mss, snapshot.snd_una, snapshot.snd_nxt, snapshot.unread,
		     snapshot.unacked, snapshot.unsent, (long long)size);
	moved->sock = socket(snapshot.local.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int problem = handover_restore(moved->sock, &snapshot, bytes, &what);
	if (!problem) {
		bpf_map_update_elem(moved_map, &snapshot.peer.in.sin_port, &one, 0);
		problem = handover_start(moved->sock, &snapshot, bytes, &taken, &what);
	}
	if (problem)
		errx(1, "hand-over: %s: %s", what, strerror(-problem));
	hand_overs++;
	most_moved = size > most_moved ? size : most_moved;
	states_moved |= 1u << snapshot.state;
	engine_drop(peer->socket);
	forget(peer);
	moved->peer = peer;
	moved->first_len = snapshot.unsent - taken;
	moved->first = malloc(moved->first_len + 1);
	memcpy(moved->first, bytes + size - moved->first_len, moved->first_len);
	moved->fin_after = snapshot.fin_sent && moved->first_len;
	free(bytes);
	if (pthread_create(&thread, NULL, go_on, moved))
		err(1, "thread");
	pthread_detach(thread);
	return true;
}

static void end(struct peer *peer)
{
	engine_set_tag(peer->socket, NULL);
	engine_close(peer->socket);
	forget(peer);
	free(peer);
}

/* False: the peer is gone. */
static bool serve(struct peer *peer)
{
	for (int rounds = 0; rounds < 64; rounds++) {
		struct iovec iov = { peer->buffer, BLOCK };
		ssize_t got;

		if (move_at && peer->got + peer->done >= move_at && move(peer))
			return false;
		if (peer->kind == 'S' && peer->total) {
			size_t want = peer->total - peer->done < BLOCK ? peer->total - peer->done : BLOCK;
			if (!want) {
				if (!peer->shut)
					engine_shutdown(peer->socket, SHUT_WR);
				peer->shut = true;
			} else {
				fill(peer->buffer, peer->done, want);
				iov.iov_len = want;
				got = engine_write(peer->socket, &iov, 1, 0);
				if (got == -EAGAIN)
					return true;
				if (got < 0) {
					end(peer);
					return false;
				}
				peer->done += (uint64_t)got;
				continue;
			}
		}
		if (peer->held) {
			iov.iov_len = peer->held;
			got = engine_write(peer->socket, &iov, 1, 0);
			if (got == -EAGAIN)
				return true;
			if (got < 0) {
				end(peer);
				return false;
			}
			memmove(peer->buffer, peer->buffer + got, peer->held - (size_t)got);
			peer->held -= (size_t)got;
			continue;
		}
		got = engine_read(peer->socket, &iov, 1, 0);
		if (got == -EAGAIN)
			return true;
		if (got <= 0) {
			if (!got && peer->kind == 'D') {
				char text[32];
				iov = (struct iovec){ text, (size_t)snprintf(text, sizeof(text), "%llu\n",
									     (unsigned long long)peer->got) };
				engine_write(peer->socket, &iov, 1, 0);
			}
			end(peer);
			return false;
		}
		if (!peer->kind) {
			peer->kind = (char)peer->buffer[0];
			if (peer->kind == 'S')
				peer->total = strtoull((char *)peer->buffer + 1, NULL, 10);
			if (peer->kind == 'C') {
				end(peer);
				return false;
			}
		}
		peer->got += (uint64_t)got;
		if (peer->kind != 'S' && peer->kind != 'D')
			peer->held = (size_t)got;
	}
	notify(NULL, peer->socket, 0); /* once more, after the others */
	return true;
}

static void accept_all(void)
{
	struct engine_socket *socket;

	accept_ready = false;
	while ((socket = engine_accept(listener))) {
		struct peer *peer = calloc(1, sizeof(*peer));
		if (!peer)
			err(1, "calloc");
		peer->socket = socket;
		engine_set_tag(socket, peer);
		notify(NULL, socket, 0);
	}
}

/* Signals come while we wait, never between a look and a wait. */
static sigset_t outside;

static bool may_stop(void)
{
	static uint64_t since;
	struct engine_stats stats;

	if (!stopping)
		return false;
	since = since ? since : now();
	engine_stats(engine, &stats);
	return !stats.connections || now() - since > 2000000000;
}

static void run(struct ring *ring)
{
	uint64_t wakeups = 0;

	while (!may_stop()) {
		engine_poll(engine, now(), 4);
		if (accept_ready)
			accept_all();
		for (struct peer *peer = ready_list, *next; peer; peer = next) {
			if (peer == ready_list)
				ready_list = NULL;
			next = peer->next_ready;
			peer->ready = false;
			serve(peer);
		}
		engine_flush(engine);
		uint64_t deadline = engine_deadline(engine), at = now();
		uint64_t left = deadline == ENGINE_NEVER ? 1000000000000 : deadline > at ? deadline - at : 0;
		if (ready_list || accept_ready)
			left = 0;
		if (stopping && left > 10000000)
			left = 10000000;
		struct timespec wait = { (time_t)(left / 1000000000), (long)(left % 1000000000) };
		struct pollfd fd = { .fd = ring->wait_fd, .events = POLLIN };
		ppoll(&fd, 1, &wait, &outside);
		wakeups++;
	}
	struct engine_stats stats;
	engine_stats(engine, &stats);
	printf("wakeups=%llu accepted=%llu segments_in=%llu segments_out=%llu time_wait=%u connections=%u bad_checksum=%llu "
	       "bad_frame=%llu reset=%llu challenge_ack=%llu paws_dropped=%llu rx_dropped=%llu no_neighbour=%llu moved=%llu "
	       "hand_overs=%llu most_moved=%lld states_moved=%u\n",
	       (unsigned long long)wakeups, (unsigned long long)stats.accepted, (unsigned long long)stats.segments_in,
	       (unsigned long long)stats.segments_out, stats.time_wait, stats.connections,
	       (unsigned long long)stats.bad_checksum, (unsigned long long)stats.bad_frame,
	       (unsigned long long)stats.reset, (unsigned long long)stats.challenge_ack,
	       (unsigned long long)stats.paws_dropped, (unsigned long long)stats.ring.rx_dropped,
	       (unsigned long long)stats.no_neighbour, (unsigned long long)stats.moved, (unsigned long long)hand_overs,
	       (long long)most_moved, states_moved);
	fflush(stdout);
}

static struct bpf_object *steer(const char *object, int ifindex, uint16_t port, int xsk)
{
	struct bpf_object *bpf = bpf_object__open_file(object, NULL);
	struct bpf_map *map;
	uint32_t key = 0;
	size_t size;

	if (!bpf)
		err(1, "%s", object);
	bpf_object__for_each_map(map, bpf)
		if (strstr(bpf_map__name(map), ".rodata")) {
			/* bpf_map__initial_value() is const in name only */
			uint16_t *value = (uint16_t *)(uintptr_t)bpf_map__initial_value(map, &size);
			*value = port;
		}
	if (bpf_object__load(bpf))
		err(1, "load");
	int program = bpf_program__fd(bpf_object__find_program_by_name(bpf, "to_xsk"));
	int xsks = bpf_object__find_map_fd_by_name(bpf, "xsks");
	moved_map = bpf_object__find_map_fd_by_name(bpf, "moved");
	if (bpf_map_update_elem(xsks, &key, &xsk, 0))
		err(1, "xsks");
	if (bpf_xdp_attach(ifindex, program, XDP_FLAGS_DRV_MODE, NULL))
		err(1, "attach");
	return bpf;
}

static unsigned local_addresses(const char *interface, union engine_address *addresses)
{
	struct ifaddrs *all, *at;
	unsigned count = 0;

	if (getifaddrs(&all))
		err(1, "getifaddrs");
	for (at = all; at && count < ENGINE_ADDRESSES; at = at->ifa_next) {
		if (strcmp(at->ifa_name, interface) || !at->ifa_addr)
			continue;
		if (at->ifa_addr->sa_family == AF_INET)
			memcpy(&addresses[count++].in, at->ifa_addr, sizeof(struct sockaddr_in));
		else if (at->ifa_addr->sa_family == AF_INET6)
			memcpy(&addresses[count++].in6, at->ifa_addr, sizeof(struct sockaddr_in6));
	}
	freeifaddrs(all);
	return count;
}

int main(int argc, char **argv)
{
	struct engine_config config = { .notify = notify };
	union engine_address any = { .in6 = { .sin6_family = AF_INET6 } };
	struct ring_xdp xdp;
	struct ifreq request = { 0 };
	const char *what = "";
	int problem, ifindex;
	sigset_t ends;

	if (argc < 4)
		errx(2, "usage: engine_server OBJECT INTERFACE PORT [BYTES]");
	move_at = argc > 4 ? strtoull(argv[4], NULL, 10) : 0;
	signal(SIGTERM, stop);
	signal(SIGINT, stop);
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	sigprocmask(SIG_BLOCK, &ends, &outside);
	ifindex = (int)if_nametoindex(argv[2]);
	int probe = socket(AF_INET, SOCK_DGRAM, 0);
	strncpy(request.ifr_name, argv[2], IFNAMSIZ - 1);
	if (ioctl(probe, SIOCGIFHWADDR, &request))
		err(1, "MAC");
	memcpy(config.mac, request.ifr_hwaddr.sa_data, 6);
	if (ioctl(probe, SIOCGIFMTU, &request))
		err(1, "MTU");
	ring_xdp_sizes(&xdp, 2048, (uint32_t)request.ifr_mtu);
	problem = ring_xdp_open(&xdp, ifindex, 0, XDP_COPY, &what);
	if (problem)
		errx(1, "%s: %s", what, strerror(-problem));
	struct ring *ring = ring_xdp_attach(&xdp);
	if (!ring)
		err(1, "attach to the socket");
	config.ring = ring;
	config.address_count = local_addresses(argv[2], config.addresses);
	engine = engine_create(&config);
	if (!engine)
		err(1, "engine");
	any.in6.sin6_port = htons((uint16_t)atoi(argv[3]));
	problem = engine_listen(engine, &any, 1024, false, &listener);
	if (problem)
		errx(1, "listen: %s", strerror(-problem));
	steer(argv[1], ifindex, (uint16_t)atoi(argv[3]), xdp.xsk);
	puts("ready");
	fflush(stdout);
	run(ring);
	bpf_xdp_detach(ifindex, XDP_FLAGS_DRV_MODE, NULL);
	engine_destroy(engine);
	ring_close(ring);
	return 0;
}
