/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * A client in mTCP's style: many connections to an echo server, a request at a time on each, and every answer is
 * compared.
 *
 *   cc client.c -lautocork-mtcp -o client
 *   ./client mtcp.ini 10.0.0.1 9000 [CONNECTIONS [REQUESTS [BYTES]]]
 */
#include <arpa/inet.h>
#include <errno.h>
#include <mtcp_api.h>
#include <mtcp_epoll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define EVENTS 256
#define BYTES_MAX (1 << 20)

struct request {
	int left;      /* requests, with the one that is under way */
	int sent, got; /* bytes of this one */
};

static mctx_t mctx;
static int set, bytes;
static char *pattern, *answer;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void watch(int op, int sockid, uint32_t events)
{
	struct mtcp_epoll_event event = { .events = events, .data = { .sockid = sockid } };

	if (mtcp_epoll_ctl(mctx, set, op, sockid, &event))
		fail("mtcp_epoll_ctl");
}

static int open_connection(const struct sockaddr_in *server)
{
	int sockid = mtcp_socket(mctx, AF_INET, MTCP_SOCK_STREAM, 0);

	if (sockid < 0 || mtcp_setsock_nonblock(mctx, sockid))
		fail("mtcp_socket");
	if (mtcp_connect(mctx, sockid, (const struct sockaddr *)server, sizeof(*server)) && errno != EINPROGRESS)
		fail("mtcp_connect");
	watch(MTCP_EPOLL_CTL_ADD, sockid, MTCP_EPOLLIN | MTCP_EPOLLOUT);
	return sockid;
}

static void send_more(int sockid, struct request *request)
{
	while (request->sent < bytes) {
		ssize_t n = mtcp_write(mctx, sockid, pattern + request->sent, bytes - request->sent);

		if (n < 0 && errno == EAGAIN) {
			watch(MTCP_EPOLL_CTL_MOD, sockid, MTCP_EPOLLIN | MTCP_EPOLLOUT);
			return;
		}
		if (n < 0)
			fail("mtcp_write");
		request->sent += n;
	}
	watch(MTCP_EPOLL_CTL_MOD, sockid, MTCP_EPOLLIN);
}

static void receive_more(int sockid, struct request *request)
{
	ssize_t n;

	while ((n = mtcp_read(mctx, sockid, answer, bytes - request->got)) > 0) {
		if (memcmp(answer, pattern + request->got, n)) {
			fputs("an answer is wrong\n", stderr);
			exit(1);
		}
		request->got += n;
		if (request->got < bytes)
			continue;
		*request = (struct request){ .left = request->left - 1 };
		if (!request->left) {
			mtcp_close(mctx, sockid);
			return;
		}
		send_more(sockid, request);
	}
	if (!n) {
		fputs("the server closed a connection\n", stderr);
		exit(1);
	}
	if (errno != EAGAIN)
		fail("mtcp_read");
}

static int error_of(int sockid)
{
	int error = 0;
	socklen_t size = sizeof(error);

	mtcp_getsockopt(mctx, sockid, SOL_SOCKET, SO_ERROR, &error, &size);
	return error;
}

int main(int argc, char **argv)
{
	struct sockaddr_in server = { .sin_family = AF_INET };
	int connections = argc > 4 ? atoi(argv[4]) : 16, requests = argc > 5 ? atoi(argv[5]) : 1000, open;
	struct mtcp_epoll_event events[EVENTS];
	struct request *state;
	struct mtcp_conf conf;
	struct timespec begun, ended;
	double seconds;

	bytes = argc > 6 ? atoi(argv[6]) : 64;
	if (argc < 4 || inet_pton(AF_INET, argv[2], &server.sin_addr) != 1 || connections < 1 || requests < 1 ||
	    bytes < 1 || bytes > BYTES_MAX) {
		fprintf(stderr, "usage: %s CONFIGURATION ADDRESS PORT [CONNECTIONS [REQUESTS [BYTES]]]\n", argv[0]);
		return 2;
	}
	server.sin_port = htons(atoi(argv[3]));
	if (mtcp_init(argv[1]) || mtcp_core_affinitize(0) || !(mctx = mtcp_create_context(0)))
		return 1;
	mtcp_getconf(&conf);
	state = calloc(conf.max_concurrency, sizeof(*state));
	pattern = malloc(bytes);
	answer = malloc(bytes);
	set = mtcp_epoll_create(mctx, EVENTS);
	if (!state || !pattern || !answer || set < 0)
		fail("mtcp_epoll_create");
	for (int i = 0; i < bytes; i++)
		pattern[i] = 'a' + i % 26;
	clock_gettime(CLOCK_MONOTONIC, &begun);
	for (open = 0; open < connections; open++)
		state[open_connection(&server)].left = requests;
	while ((open = mtcp_get_connection_cnt(mctx))) {
		int count = mtcp_epoll_wait(mctx, set, events, EVENTS, 10000);

		if (count < 0)
			fail("mtcp_epoll_wait");
		if (!count) {
			fprintf(stderr, "no answer for 10 s on %d connections\n", open);
			return 1;
		}
		for (int i = 0; i < count; i++) {
			int sockid = events[i].data.sockid;

			if (events[i].events & MTCP_EPOLLERR) {
				errno = error_of(sockid);
				fail("a connection");
			}
			if (events[i].events & MTCP_EPOLLOUT)
				send_more(sockid, &state[sockid]);
			if (events[i].events & (MTCP_EPOLLIN | MTCP_EPOLLHUP))
				receive_more(sockid, &state[sockid]);
		}
	}
	clock_gettime(CLOCK_MONOTONIC, &ended);
	seconds = ended.tv_sec - begun.tv_sec + (ended.tv_nsec - begun.tv_nsec) / 1e9;
	printf("%d connections, %d requests each of %d bytes: %.0f requests/s\n", connections, requests, bytes,
	       (double)connections * requests / seconds);
	mtcp_destroy_context(mctx);
	mtcp_destroy();
	free(state);
	free(pattern);
	free(answer);
	return 0;
}
