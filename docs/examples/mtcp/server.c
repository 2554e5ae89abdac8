/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * An echo server in mTCP's style: a thread, a context, a listener and an epoll set for each core.
 *
 *   cc server.c -lautocork-mtcp -lpthread -o server
 *   ./server mtcp.ini 9000 [CORES]
 */
#include <errno.h>
#include <mtcp_api.h>
#include <mtcp_epoll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EVENTS 256
#define BUFFER 16384

/* What a connection could not write yet. */
struct echo {
	char bytes[BUFFER];
	size_t from, to;
};

static uint16_t port;
static int max_sockets;
static volatile sig_atomic_t ends;

static void end(int signal)
{
	ends = 1;
}

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static int listen_on(mctx_t mctx)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_port = htons(port),
				       .sin_addr = { htonl(INADDR_ANY) } };
	int listener = mtcp_socket(mctx, AF_INET, MTCP_SOCK_STREAM, 0);

	if (listener < 0 || mtcp_setsock_nonblock(mctx, listener) ||
	    mtcp_bind(mctx, listener, (struct sockaddr *)&address, sizeof(address)) ||
	    mtcp_listen(mctx, listener, 4096))
		fail("a listener");
	return listener;
}

static void watch(mctx_t mctx, int set, int op, int sockid, uint32_t events)
{
	struct mtcp_epoll_event event = { .events = events, .data = { .sockid = sockid } };

	if (mtcp_epoll_ctl(mctx, set, op, sockid, &event))
		fail("mtcp_epoll_ctl");
}

static void drop(mctx_t mctx, struct echo **connections, int sockid)
{
	mtcp_close(mctx, sockid);
	free(connections[sockid]);
	connections[sockid] = NULL;
}

static void accept_all(mctx_t mctx, int set, int listener, struct echo **connections)
{
	int sockid;

	while ((sockid = mtcp_accept(mctx, listener, NULL, NULL)) >= 0) {
		connections[sockid] = calloc(1, sizeof(**connections));
		if (!connections[sockid] || mtcp_setsock_nonblock(mctx, sockid))
			drop(mctx, connections, sockid);
		else
			watch(mctx, set, MTCP_EPOLL_CTL_ADD, sockid, MTCP_EPOLLIN);
	}
}

/* Reads and writes while both go on. false: the connection is over. */
static int serve(mctx_t mctx, int set, int sockid, struct echo *echo)
{
	for (;;) {
		ssize_t n;

		while (echo->from < echo->to) {
			n = mtcp_write(mctx, sockid, echo->bytes + echo->from, echo->to - echo->from);
			if (n < 0 && errno == EAGAIN) {
				watch(mctx, set, MTCP_EPOLL_CTL_MOD, sockid, MTCP_EPOLLOUT);
				return 1;
			}
			if (n < 0)
				return 0;
			echo->from += n;
			if (echo->from == echo->to)
				watch(mctx, set, MTCP_EPOLL_CTL_MOD, sockid, MTCP_EPOLLIN);
		}
		n = mtcp_read(mctx, sockid, echo->bytes, BUFFER);
		if (n < 0 && errno == EAGAIN)
			return 1;
		if (n <= 0)
			return 0;
		/* The usual case: all of it goes at once, and nothing changes. */
		echo->to = n;
		echo->from = 0;
		n = mtcp_write(mctx, sockid, echo->bytes, echo->to);
		if (n < 0 && errno != EAGAIN)
			return 0;
		echo->from = n > 0 ? n : 0;
		/* Less than asked for: nothing more is there now. */
		if (echo->from == echo->to && echo->to < BUFFER)
			return 1;
	}
}

static void *run(void *argument)
{
	int core = (intptr_t)argument, set, listener, count;
	struct mtcp_epoll_event events[EVENTS];
	struct echo **connections = calloc(max_sockets, sizeof(*connections));
	mctx_t mctx;

	if (mtcp_core_affinitize(core) || !(mctx = mtcp_create_context(core)) || !connections)
		fail("a context");
	set = mtcp_epoll_create(mctx, EVENTS);
	listener = listen_on(mctx);
	watch(mctx, set, MTCP_EPOLL_CTL_ADD, listener, MTCP_EPOLLIN);
	printf("core %d serves port %u\n", core, port);
	fflush(stdout);
	while (!ends) {
		count = mtcp_epoll_wait(mctx, set, events, EVENTS, 500);
		if (count < 0 && errno != EINTR)
			fail("mtcp_epoll_wait");
		for (int i = 0; i < count; i++) {
			int sockid = events[i].data.sockid;

			if (sockid == listener)
				accept_all(mctx, set, listener, connections);
			else if (!serve(mctx, set, sockid, connections[sockid]))
				drop(mctx, connections, sockid);
		}
	}
	printf("core %d ends with %u connections\n", core, mtcp_get_connection_cnt(mctx));
	mtcp_destroy_context(mctx);
	for (int i = 0; i < max_sockets; i++)
		free(connections[i]);
	free(connections);
	return NULL;
}

int main(int argc, char **argv)
{
	struct mtcp_conf conf;
	pthread_t *threads;
	int cores;

	if (argc < 3) {
		fprintf(stderr, "usage: %s CONFIGURATION PORT [CORES]\n", argv[0]);
		return 2;
	}
	port = atoi(argv[2]);
	if (mtcp_init(argv[1]))
		return 1;
	mtcp_getconf(&conf);
	max_sockets = conf.max_concurrency;
	cores = argc > 3 ? atoi(argv[3]) : conf.num_cores;
	mtcp_register_signal(SIGINT, end);
	mtcp_register_signal(SIGTERM, end);
	threads = calloc(cores, sizeof(*threads));
	for (intptr_t i = 0; i < cores; i++)
		if (pthread_create(&threads[i], NULL, run, (void *)i))
			fail("a thread");
	for (int i = 0; i < cores; i++)
		pthread_join(threads[i], NULL);
	free(threads);
	mtcp_destroy();
	return 0;
}
