/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The server: one epoll loop that answers each message of each connection, as its client asked for in the hello. */
#include <endian.h>
#include <errno.h>
#include <jansson.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench/sides.h"
#include "bench/wire.h"
#include "lib/clock.h"

#define READ_SIZE 65536

struct peer {
	int fd;
	uint32_t hello_have;	  /* bytes of the hello that are here */
	struct bench_hello hello; /* host byte order once complete */
	/* a response, then room for the report; with echo the message is collected here */
	uint8_t *reply;
	uint32_t have; /* bytes of the message under way */
	uint32_t reply_size, reply_sent, reply_cut;
	bool replying; /* a response waits for room in the send queue */
	uint32_t messages;
	uint64_t received, sent;
	uint64_t wrong_bytes;
	struct bench_counted start;
	uint64_t cpu_start;
};

struct server {
	const struct bench_server_options *options;
	int listener, epoll;
	uint32_t ended;
	uint8_t buffer[READ_SIZE];
};

static void print_json(json_t *object)
{
	json_dumpf(object, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(object);
}

static void peer_end(struct server *server, struct peer *peer, const char *why)
{
	const struct bench_server_options *o = server->options;

	if (o->json)
		print_json(json_pack("{s:I, s:I, s:I, s:s}", "messages", (json_int_t)peer->messages, "bytes",
				     (json_int_t)peer->received, "wrong_bytes", (json_int_t)peer->wrong_bytes, "ended",
				     why));
	else if (o->verbose)
		printf("connection ended (%s): %u messages, %llu bytes, %llu wrong\n", why, peer->messages,
		       (unsigned long long)peer->received, (unsigned long long)peer->wrong_bytes);
	close(peer->fd);
	free(peer->reply);
	free(peer);
	server->ended++;
}

static void watch(struct server *server, struct peer *peer, int operation, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = peer };

	epoll_ctl(server->epoll, operation, peer->fd, &event);
}

/* Called once, when the last byte of the hello is here; false if it is not one of ours. */
static bool greet(struct peer *peer)
{
	struct bench_hello *h = &peer->hello;

	h->flags = le32toh(h->flags);
	h->message_size = le32toh(h->message_size);
	h->response_size = le32toh(h->response_size);
	h->response_writes = le32toh(h->response_writes);
	h->messages = le32toh(h->messages);
	h->warmup = le32toh(h->warmup);
	if (memcmp(h->magic, BENCH_MAGIC, sizeof(h->magic)) || !h->message_size || h->message_size > BENCH_SIZE_MAX ||
	    !h->response_size || h->response_size > BENCH_SIZE_MAX || !h->response_writes ||
	    h->response_writes > h->response_size)
		return false;
	if ((h->flags & BENCH_HELLO_ECHO) && h->response_size != h->message_size)
		return false;
	peer->reply = malloc(h->response_size + sizeof(struct bench_report));
	if (!peer->reply)
		return false;
	bench_fill(peer->reply, h->response_size, 0);
	if (h->flags & BENCH_HELLO_NO_DELAY)
		bench_no_delay(peer->fd);
	peer->cpu_start = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	return true;
}

/* The report goes behind the last response; its own segments are part of that response. */
static void add_report(struct peer *peer)
{
	struct bench_counted now;
	struct bench_report report;

	bench_count(peer->fd, &now);
	report = (struct bench_report){
		.cpu_ns = htole64(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - peer->cpu_start),
		.segments = htole32(now.segments - peer->start.segments + peer->hello.response_writes),
		.wrong_bytes = htole32(peer->wrong_bytes < UINT32_MAX ? (uint32_t)peer->wrong_bytes : UINT32_MAX),
	};
	memcpy(peer->reply + peer->hello.response_size, &report, sizeof(report));
	peer->reply_size += sizeof(report);
}

/* Writes as much of the response as there is room for; false if the connection failed. */
static bool reply_go_on(struct server *server, struct peer *peer)
{
	const struct bench_hello *h = &peer->hello;

	while (peer->reply_sent < peer->reply_size) {
		uint32_t end = (uint32_t)((uint64_t)h->response_size * (peer->reply_cut + 1) / h->response_writes);
		ssize_t n;

		if (end == h->response_size)
			end = peer->reply_size;
		n = write(peer->fd, peer->reply + peer->reply_sent, end - peer->reply_sent);
		if (n < 0 && errno == EAGAIN) {
			if (!peer->replying)
				watch(server, peer, EPOLL_CTL_MOD, EPOLLOUT);
			peer->replying = true;
			return true;
		}
		if (n < 0)
			return false;
		peer->reply_sent += (uint32_t)n;
		if (peer->reply_sent == end)
			peer->reply_cut++;
	}
	if (peer->replying)
		watch(server, peer, EPOLL_CTL_MOD, EPOLLIN);
	peer->replying = false;
	peer->sent += h->response_size;
	return true;
}

static bool reply_start(struct server *server, struct peer *peer)
{
	const struct bench_hello *h = &peer->hello;

	peer->have = 0;
	peer->messages++;
	peer->reply_sent = peer->reply_cut = 0;
	peer->reply_size = h->response_size;
	if ((h->flags & BENCH_HELLO_CHECK) && !(h->flags & BENCH_HELLO_ECHO))
		bench_fill(peer->reply, h->response_size, peer->sent);
	if (peer->messages == h->messages)
		add_report(peer);
	if (!reply_go_on(server, peer))
		return false;
	if (peer->messages == h->warmup) {
		bench_count(peer->fd, &peer->start);
		peer->cpu_start = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	}
	return true;
}

/* A stream without answers has ended: says what came of it. */
static const char *sink_end(struct peer *peer)
{
	struct bench_sink_report report = {
		.cpu_ns = htole64(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - peer->cpu_start),
		.bytes = htole64(peer->received),
		.wrong_bytes = htole64(peer->wrong_bytes),
	};

	/* The first bytes that this side sends: there is room for them. */
	return write(peer->fd, &report, sizeof(report)) == sizeof(report) ? "closed" : "write failed";
}

/* Takes what was read. A client sends nothing more before it has the response, so a message never runs into the
 * next. */
static const char *take(struct server *server, struct peer *peer, const uint8_t *bytes, uint32_t size)
{
	const struct bench_hello *h = &peer->hello;

	if (peer->hello_have < sizeof(*h)) {
		uint32_t n = sizeof(*h) - peer->hello_have;

		n = n < size ? n : size;
		memcpy((uint8_t *)&peer->hello + peer->hello_have, bytes, n);
		peer->hello_have += n;
		bytes += n;
		size -= n;
		if (peer->hello_have == sizeof(*h) && !greet(peer))
			return "not a client of this benchmark";
	}
	if (!size)
		return NULL;
	if (h->flags & BENCH_HELLO_SINK) {
		if (h->flags & BENCH_HELLO_CHECK)
			peer->wrong_bytes += bench_wrong_periodic(bytes, size, peer->received, h->message_size);
		peer->received += size;
		return NULL;
	}
	if (size > h->message_size - peer->have)
		return "more than a message";
	if (h->flags & BENCH_HELLO_CHECK)
		peer->wrong_bytes += bench_wrong(bytes, size, peer->received);
	if (h->flags & BENCH_HELLO_ECHO)
		memcpy(peer->reply + peer->have, bytes, size);
	peer->have += size;
	peer->received += size;
	if (peer->have == h->message_size && !reply_start(server, peer))
		return "write failed";
	return NULL;
}

static void serve(struct server *server, struct peer *peer)
{
	const char *why = NULL;
	ssize_t n;

	if (peer->replying) {
		if (!reply_go_on(server, peer))
			peer_end(server, peer, "write failed");
		return;
	}
	n = read(peer->fd, server->buffer, sizeof(server->buffer));
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0)
		why = "read failed";
	else if (n == 0 && peer->hello_have == sizeof(peer->hello) && (peer->hello.flags & BENCH_HELLO_SINK))
		why = sink_end(peer);
	else if (n == 0)
		why = peer->have || peer->hello_have < sizeof(peer->hello) ? "closed within a message" : "closed";
	else
		why = take(server, peer, server->buffer, (uint32_t)n);
	if (why)
		peer_end(server, peer, why);
}

static void accept_all(struct server *server)
{
	int fd;

	while ((fd = accept4(server->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct peer *peer = calloc(1, sizeof(*peer));

		if (!peer) {
			close(fd);
			continue;
		}
		peer->fd = fd;
		if (server->options->no_delay)
			bench_no_delay(fd);
		watch(server, peer, EPOLL_CTL_ADD, EPOLLIN);
	}
}

static int listen_on(const struct addrinfo *a)
{
	int on = 1, off = 0, fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (a->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (!bind(fd, a->ai_addr, a->ai_addrlen) && !listen(fd, 4096))
		return fd;
	close(fd);
	return -1;
}

static int open_listener(struct server *server, struct fault *fault)
{
	const struct bench_server_options *o = server->options;
	struct addrinfo hints = { .ai_family = o->family, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE }, *list;
	int error = getaddrinfo(o->host, o->port, &hints, &list), fd = -1;

	if (error)
		return fault_set(fault, EXIT_FAILED, "%s: %s: name an address of this host", o->host,
				 gai_strerror(error));
	/* IPv6 first: it serves IPv4 too. */
	for (int pass = 0; pass < 2 && fd < 0; pass++)
		for (struct addrinfo *a = list; a && fd < 0; a = a->ai_next)
			if ((a->ai_family == AF_INET6) == (pass == 0))
				fd = listen_on(a);
	error = errno;
	freeaddrinfo(list);
	if (fd < 0)
		return fault_set(fault, EXIT_FAILED, "%s port %s: %s: choose another %s", o->host ?: "any address",
				 o->port, strerror(error), error == EADDRNOTAVAIL ? "--host" : "--port");
	server->listener = fd;
	return 0;
}

static void announce(const struct server *server)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);
	char port[8] = "";

	getsockname(server->listener, (struct sockaddr *)&address, &size);
	getnameinfo((struct sockaddr *)&address, size, NULL, 0, port, sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV);
	if (server->options->json)
		print_json(json_pack("{s:i}", "port", (int)strtol(port, NULL, 10)));
	else
		printf("listening on port %s\n", port);
}

static int loop(struct server *server, struct fault *fault)
{
	const struct bench_server_options *o = server->options;
	struct epoll_event events[64], listening = { .events = EPOLLIN };

	if (epoll_ctl(server->epoll, EPOLL_CTL_ADD, server->listener, &listening))
		return fault_set(fault, EXIT_FAILED, "epoll: %s: raise the limits of this user", strerror(errno));
	while (!o->connections || server->ended < o->connections) {
		int n = epoll_wait(server->epoll, events, 64, -1);

		if (n < 0 && errno != EINTR)
			return fault_set(fault, EXIT_FAILED, "epoll: %s: report this", strerror(errno));
		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr)
				serve(server, events[i].data.ptr);
			else
				accept_all(server);
		}
	}
	return 0;
}

int bench_server_run(const struct bench_server_options *options, struct fault *fault)
{
	static struct server server;
	int status = -1;

	server = (struct server){ .options = options, .listener = -1 };
	signal(SIGPIPE, SIG_IGN);
	setlinebuf(stdout); /* whoever started the server waits for the line that names the port */
	bench_allow_files(BENCH_CONNECTIONS_MAX);
	server.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (server.epoll < 0)
		return fault_set(fault, EXIT_FAILED, "epoll: %s: raise the limits of this user", strerror(errno));
	if (!open_listener(&server, fault)) {
		announce(&server);
		status = loop(&server, fault);
		close(server.listener);
	}
	close(server.epoll);
	return status;
}
