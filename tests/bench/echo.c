/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * For tests/bench/endpoint: an epoll echo server, a client that keeps one message under way on each connection, and one
 * that only holds connections open.
 *
 *   echo serve PORT
 *   echo load ADDRESS PORT CONNECTIONS SECONDS BYTES     prints {"rate": requests/s, "p50_us": ..., "p99_us": ...}
 *   echo short ADDRESS PORT COUNT            so many connections, 16 at a time, with a message each; prints what came
 *   echo hold ADDRESS PORT CONNECTIONS                   prints "held", until it is killed
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define EVENTS 256
#define SAMPLES (1u << 22)

static char bytes[65536];

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

static void watch(int set, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

	if (epoll_ctl(set, EPOLL_CTL_ADD, fd, &event))
		err(1, "epoll_ctl");
}

static int serve(uint16_t port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), set = epoll_create1(0), one = 1;
	struct epoll_event events[EVENTS];

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 16384))
		err(1, "port %u", port);
	watch(set, listener);
	for (;;) {
		int count = epoll_wait(set, events, EVENTS, -1);

		for (int i = 0; i < count; i++) {
			int fd = events[i].data.fd;
			ssize_t n;

			if (fd == listener) {
				while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
					setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
					watch(set, fd);
				}
				continue;
			}
			n = read(fd, bytes, sizeof(bytes));
			if ((n < 0 && errno != EAGAIN) || !n || (n > 0 && write(fd, bytes, n) != n))
				close(fd);
		}
	}
}

static int open_connection(const char *host, const char *port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(atoi(port)) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	if (fd < 0 || inet_pton(AF_INET, host, &address.sin_addr) != 1 ||
	    connect(fd, (struct sockaddr *)&address, sizeof(address)))
		err(1, "%s port %s", host, port);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static int load(const char *host, const char *port, int connections, double seconds, int size)
{
	struct state {
		uint64_t sent;
		int got;
	} *states = calloc(connections + 64, sizeof(*states));
	uint32_t *samples = malloc(SAMPLES * sizeof(*samples)), count = 0;
	struct epoll_event events[EVENTS];
	int set = epoll_create1(0);
	uint64_t begun, end, done = 0;

	for (int i = 0; i < connections; i++) {
		int fd = open_connection(host, port);

		if (fd >= connections + 64)
			errx(1, "descriptor %d", fd);
		watch(set, fd);
		states[fd].sent = 1;
	}
	begun = now_ns();
	end = begun + seconds * 1e9;
	for (int fd = 0; fd < connections + 64; fd++) {
		if (!states[fd].sent)
			continue;
		states[fd].sent = now_ns();
		if (write(fd, bytes, size) != size)
			err(1, "write");
	}
	while (now_ns() < end) {
		int ready = epoll_wait(set, events, EVENTS, 1000);

		for (int i = 0; i < ready; i++) {
			struct state *state = &states[events[i].data.fd];
			ssize_t n = read(events[i].data.fd, bytes, size - state->got);
			uint64_t now;

			if (n <= 0)
				err(1, "read");
			state->got += n;
			if (state->got < size)
				continue;
			now = now_ns();
			if (count < SAMPLES)
				samples[count++] = now - state->sent;
			done++;
			*state = (struct state){ .sent = now };
			if (write(events[i].data.fd, bytes, size) != size)
				err(1, "write");
		}
	}
	end = now_ns();
	qsort(samples, count, sizeof(*samples), by_value);
	printf("{\"requests\": %llu, \"rate\": %.1f, \"p50_us\": %.1f, \"p99_us\": %.1f}\n", (unsigned long long)done,
	       done * 1e9 / (end - begun), count ? samples[count / 2] / 1e3 : 0,
	       count ? samples[count / 100 * 99] / 1e3 : 0);
	return 0;
}

/* A message for each connection; the client closes. */
static int be_short(const char *host, const char *port, long count)
{
	long answered = 0, wrong = 0;

	while (answered + wrong < count) {
		int fds[16], used = 0;

		while (used < 16 && answered + wrong + used < count) {
			int fd = open_connection(host, port);

			snprintf(bytes, sizeof(bytes), "%015ld", answered + used);
			if (write(fd, bytes, 16) != 16)
				err(1, "write");
			fds[used++] = fd;
		}
		for (long i = 0, base = answered; i < used; i++) {
			char got[17] = "";
			ssize_t n = recv(fds[i], got, 16, MSG_WAITALL);

			if (n == 16 && atol(got) == base + i)
				answered++;
			else
				wrong++;
			close(fds[i]);
		}
	}
	printf("{\"answered\": %ld, \"wrong\": %ld}\n", answered, wrong);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "serve"))
		return serve(atoi(argv[2]));
	if (argc == 7 && !strcmp(argv[1], "load"))
		return load(argv[2], argv[3], atoi(argv[4]), atof(argv[5]), atoi(argv[6]));
	if (argc == 5 && !strcmp(argv[1], "short"))
		return be_short(argv[2], argv[3], atol(argv[4]));
	if (argc != 5 || strcmp(argv[1], "hold"))
		errx(2,
		     "usage: echo serve PORT | load ADDRESS PORT CONNECTIONS SECONDS BYTES | short ADDRESS PORT COUNT | "
		     "hold ADDRESS PORT CONNECTIONS");
	for (int i = atoi(argv[4]); i > 0; i--)
		open_connection(argv[2], argv[3]);
	puts("held");
	fflush(stdout);
	pause();
	return 0;
}
