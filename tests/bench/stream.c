/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * For tests/bench/works_slower.py: what several threads or a clock send over one connection with TCP_NODELAY, and how
 * long it took to arrive.
 *
 *   stream serve PORT                   one connection after the other; what comes first says what it is for
 *   stream feed PORT SECONDS GAP_US     the server sends a message of 60 bytes every GAP_US
 *   stream frames PORT SECONDS          4 threads ask, 4 threads answer: HEADERS, and up to 200 us later DATA
 *
 * The clients print {"operations": N, "seconds": S, "p50": us, "p99": us}: of a message's way, of an answer's time.
 */
#include <arpa/inet.h>
#include <err.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define THREADS 4
#define WARM_US 1500000 /* not counted: the agent comes to the flow, the predictor learns */
#define MESSAGE 60
#define REQUEST 40
#define HEADERS 60
#define DATA 300

enum kind { FEED, FRAMES };

struct hello {
	uint32_t kind, gap_us;
};

struct head {
	uint32_t size, stream;
	uint64_t sent_us;
};

struct times {
	uint32_t *us;
	size_t count, room;
};

static int fd; /* the one connection */
static pthread_mutex_t writing = PTHREAD_MUTEX_INITIALIZER;
static sem_t turns[THREADS];
static uint64_t asked_us[THREADS];

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void sleep_until(uint64_t us)
{
	struct timespec then = { .tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000 * 1000) };

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &then, NULL);
}

static uint32_t between(uint64_t *random, uint32_t low, uint32_t high)
{
	*random = *random * 6364136223846793005u + 1442695040888963407u;
	return low + (uint32_t)(*random >> 33) % (high - low + 1);
}

/* False at the connection's end. */
static bool put(uint32_t size, uint32_t stream)
{
	char bytes[512] = { 0 };
	struct head head = { .size = size, .stream = stream, .sent_us = now_us() };
	ssize_t done;

	memcpy(bytes, &head, sizeof(head));
	pthread_mutex_lock(&writing);
	done = send(fd, bytes, size, MSG_NOSIGNAL);
	pthread_mutex_unlock(&writing);
	return done == (ssize_t)size;
}

/* As a program with a buffer reads: whatever is there. */
static bool get(struct head *head)
{
	static char bytes[65536];
	static size_t first, end;
	ssize_t n;

	for (;;) {
		if (end - first >= sizeof(*head)) {
			memcpy(head, bytes + first, sizeof(*head));
			if (end - first >= head->size) {
				first += head->size;
				return true;
			}
		}
		memmove(bytes, bytes + first, end - first);
		end -= first;
		first = 0;
		n = recv(fd, bytes + end, sizeof(bytes) - end, 0);
		if (n <= 0) {
			end = 0;
			return false;
		}
		end += (size_t)n;
	}
}

static int socket_on(uint16_t port, struct sockaddr_in *address)
{
	int one = 1, new = socket(AF_INET, SOCK_STREAM, 0);

	*address = (struct sockaddr_in){ .sin_family = AF_INET,
					 .sin_port = htons(port),
					 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	if (new < 0 || setsockopt(new, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)))
		err(1, "socket");
	return new;
}

static void no_delay(void)
{
	int one = 1;

	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)))
		err(1, "TCP_NODELAY");
}

/* ------------------------------------------------------------------ server */

static void feed(uint32_t gap_us)
{
	uint64_t next = now_us();

	do {
		next += gap_us;
		/* What was missed on a busy machine is not made up for: it would be a burst. */
		if (next < now_us())
			next = now_us() + gap_us;
		sleep_until(next);
	} while (put(MESSAGE, 0));
}

static void *answer(void *argument)
{
	uint32_t stream = (uint32_t)(uintptr_t)argument;
	uint64_t random = stream;

	prctl(PR_SET_TIMERSLACK, 1);
	for (;;) {
		sem_wait(&turns[stream]);
		sleep_until(now_us() + between(&random, 20, 60));
		put(HEADERS, stream);
		sleep_until(now_us() + between(&random, 0, 200));
		put(DATA, stream);
	}
	return NULL;
}

static void serve(uint16_t port)
{
	struct sockaddr_in address;
	int listener = socket_on(port, &address);
	pthread_t thread;
	struct hello hello;
	struct head head;

	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 16))
		err(1, "port %u", port);
	for (uintptr_t i = 0; i < THREADS; i++)
		if (sem_init(&turns[i], 0, 0) || pthread_create(&thread, NULL, answer, (void *)i))
			err(1, "thread");
	for (;;) {
		fd = accept(listener, NULL, NULL);
		if (fd < 0)
			err(1, "accept");
		no_delay();
		if (recv(fd, &hello, sizeof(hello), MSG_WAITALL) == sizeof(hello)) {
			if (hello.kind == FEED)
				feed(hello.gap_us);
			else
				while (get(&head))
					sem_post(&turns[head.stream % THREADS]);
		}
		close(fd);
	}
}

/* ------------------------------------------------------------------ client */

static int by_time(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void note(struct times *times, uint64_t us)
{
	if (times->count == times->room) {
		times->room = times->room ? 2 * times->room : 4096;
		times->us = realloc(times->us, times->room * sizeof(*times->us));
		if (!times->us)
			err(1, "realloc");
	}
	times->us[times->count++] = (uint32_t)us;
}

static void *ask(void *argument)
{
	uint32_t stream = (uint32_t)(uintptr_t)argument;
	uint64_t random = stream + 100;

	prctl(PR_SET_TIMERSLACK, 1);
	do {
		sleep_until(now_us() + between(&random, 100, 300));
		asked_us[stream] = now_us();
		if (!put(REQUEST, stream))
			break;
	} while (!sem_wait(&turns[stream]));
	return NULL;
}

static void client(uint16_t port, double seconds, struct hello hello)
{
	struct sockaddr_in address;
	struct times times = { 0 };
	uint64_t begin, now = 0;
	pthread_t thread;
	struct head head;

	fd = socket_on(port, &address);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)))
		err(1, "port %u", port);
	no_delay();
	if (send(fd, &hello, sizeof(hello), 0) != sizeof(hello))
		err(1, "send");
	for (uintptr_t i = 0; hello.kind == FRAMES && i < THREADS; i++)
		if (sem_init(&turns[i], 0, 0) || pthread_create(&thread, NULL, ask, (void *)i))
			err(1, "thread");
	begin = now_us() + WARM_US;
	while (now < begin + (uint64_t)(seconds * 1e6) && get(&head)) {
		now = now_us();
		if (hello.kind == FRAMES && head.size != DATA)
			continue;
		if (now >= begin)
			note(&times, now - (hello.kind == FEED ? head.sent_us : asked_us[head.stream % THREADS]));
		if (hello.kind == FRAMES)
			sem_post(&turns[head.stream % THREADS]);
	}
	if (times.count < 100)
		errx(1, "%zu messages only", times.count);
	qsort(times.us, times.count, sizeof(*times.us), by_time);
	printf("{\"operations\": %zu, \"seconds\": %.3f, \"p50\": %u, \"p99\": %u}\n", times.count,
	       (double)(now - begin) / 1e6, times.us[times.count / 2], times.us[times.count * 99 / 100]);
	exit(0);
}

int main(int argc, char **argv)
{
	uint16_t port = argc > 2 ? (uint16_t)atoi(argv[2]) : 0;

	prctl(PR_SET_TIMERSLACK, 1);
	if (argc == 3 && !strcmp(argv[1], "serve"))
		serve(port);
	else if (argc == 5 && !strcmp(argv[1], "feed"))
		client(port, atof(argv[3]), (struct hello){ FEED, (uint32_t)atoi(argv[4]) });
	else if (argc == 4 && !strcmp(argv[1], "frames"))
		client(port, atof(argv[3]), (struct hello){ FRAMES, 0 });
	errx(2, "see the source for what it takes");
}
