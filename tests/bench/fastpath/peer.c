/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The two ends of the fast path's benchmark, run in two network namespaces:
 *   peer serve ADDRESS PORT
 *       one connection: checks a stream's bytes, or answers pings; then ends
 *   peer ping ADDRESS PORT COUNT SIZE
 *       p50, mean and p99 of the round trip in microseconds
 *   peer stream ADDRESS PORT BYTES SIZE GAP_NS [WRITE]
 *       segments of SIZE bytes and never more, in writes of WRITE bytes (SIZE), one every GAP_NS if the
 *       machine keeps up
 * Each prints one line of NAME VALUE pairs.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PATTERN 65521 /* prime: bytes in the wrong place differ from those that belong there */
#define CHUNK (256 << 10)
#define TIMESTAMP_OPTION 12 /* bytes of it in every segment; an MSS counts them */

static uint8_t pattern[PATTERN + CHUNK];

static void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

static struct tcp_info info_of(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t length = sizeof(info);

	getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length);
	return info;
}

static void read_all(int fd, void *data, size_t size)
{
	for (size_t got = 0; got < size;) {
		ssize_t n = read(fd, (char *)data + got, size - got);

		if (n <= 0)
			die("read");
		got += n;
	}
}

static void write_all(int fd, const void *data, size_t size)
{
	for (size_t put = 0; put < size;) {
		ssize_t n = write(fd, (const char *)data + put, size - put);

		if (n < 0)
			die("write");
		put += n;
	}
}

/* "::1" and "127.0.0.1" alike. */
static socklen_t address_of(const char *text, int port, struct sockaddr_storage *address)
{
	struct sockaddr_in *four = (void *)address;
	struct sockaddr_in6 *six = (void *)address;

	memset(address, 0, sizeof(*address));
	if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
		four->sin_family = AF_INET;
		four->sin_port = htons(port);
		return sizeof(*four);
	}
	if (inet_pton(AF_INET6, text, &six->sin6_addr) != 1)
		die(text);
	six->sin6_family = AF_INET6;
	six->sin6_port = htons(port);
	return sizeof(*six);
}

/* What the client is going to do. */
struct hello {
	uint64_t bytes;	      /* of a stream; 0: pings */
	uint64_t count, size; /* of pings */
};

static int serve(const char *text, int port)
{
	struct sockaddr_storage address;
	socklen_t length = address_of(text, port, &address);
	int listener = socket(address.ss_family, SOCK_STREAM, 0), one = 1, fd;
	static uint8_t buffer[CHUNK];
	struct tcp_info before, after;
	struct hello hello;

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (void *)&address, length) || listen(listener, 1))
		die("listen");
	puts("ready");
	fflush(stdout);
	fd = accept(listener, NULL, NULL);
	if (fd < 0)
		die("accept");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	read_all(fd, &hello, sizeof(hello));
	before = info_of(fd);
	if (!hello.bytes) {
		for (uint64_t i = 0; i < hello.count; i++) {
			read_all(fd, buffer, hello.size);
			write_all(fd, buffer, hello.size);
		}
		return 0;
	}
	for (uint64_t at = 0; at < hello.bytes;) {
		ssize_t n = read(fd, buffer, sizeof(buffer));

		if (n <= 0)
			die("read");
		if (memcmp(buffer, pattern + at % PATTERN, n)) {
			fprintf(stderr, "wrong bytes behind %llu\n", (unsigned long long)at);
			return 1;
		}
		at += n;
	}
	after = info_of(fd);
	printf("bytes %llu segments %u\n", (unsigned long long)hello.bytes,
	       after.tcpi_data_segs_in - before.tcpi_data_segs_in);
	write_all(fd, "!", 1);
	return 0;
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void ping(int fd, uint64_t count, uint64_t size)
{
	struct hello hello = { .count = count, .size = size };
	uint32_t *times = calloc(count, sizeof(*times));
	uint8_t buffer[65536] = { 0 };
	double sum = 0;

	if (!times || size > sizeof(buffer))
		die("ping");
	write_all(fd, &hello, sizeof(hello));
	for (uint64_t i = 0; i < count; i++) {
		uint64_t start = now_ns();

		write_all(fd, buffer, size);
		read_all(fd, buffer, size);
		times[i] = now_ns() - start;
		sum += times[i];
	}
	qsort(times, count, sizeof(*times), compare);
	printf("p50 %.2f mean %.2f p99 %.2f\n", times[count / 2] / 1e3, sum / count / 1e3,
	       times[count * 99 / 100] / 1e3);
}

/*
 * What waits for the window would leave in segments of a full MSS, and a stream of small segments would be one no more
 * as soon as the path is slower than the program. So the MSS is the size that is asked for.
 */
static void limit_segments(int fd, uint64_t size)
{
	int mss = size + TIMESTAMP_OPTION;

	if (setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &mss, sizeof(mss)))
		die("TCP_MAXSEG");
}

static void stream(int fd, uint64_t bytes, uint64_t write_size, uint64_t gap)
{
	struct hello hello = { .bytes = bytes };
	struct tcp_info before, after;
	uint64_t start, next;
	uint8_t done;

	write_all(fd, &hello, sizeof(hello));
	before = info_of(fd);
	start = next = now_ns();
	for (uint64_t at = 0; at < bytes; at += write_size) {
		while (gap && now_ns() < next)
			;
		next = now_ns() + gap;
		write_all(fd, pattern + at % PATTERN, bytes - at < write_size ? bytes - at : write_size);
	}
	read_all(fd, &done, 1);
	after = info_of(fd);
	printf("segments %u retransmitted %u mss %u seconds %.3f\n",
	       after.tcpi_data_segs_out - before.tcpi_data_segs_out, after.tcpi_total_retrans, after.tcpi_snd_mss,
	       (now_ns() - start) / 1e9);
}

int main(int argc, char **argv)
{
	struct sockaddr_storage address;
	uint64_t numbers[4] = { 0 };
	int fd, one = 1;

	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = i < PATTERN ? (i * i * 7 + i * 31 + (i >> 3)) & 255 : pattern[i - PATTERN];
	if (argc < 4)
		return 2;
	if (!strcmp(argv[1], "serve"))
		return serve(argv[2], strtol(argv[3], NULL, 10));
	for (int i = 4; i < argc && i < 8; i++)
		numbers[i - 4] = strtoull(argv[i], NULL, 10);
	address_of(argv[2], strtol(argv[3], NULL, 10), &address);
	fd = socket(address.ss_family, SOCK_STREAM, 0);
	if (!strcmp(argv[1], "stream"))
		limit_segments(fd, numbers[1]);
	if (connect(fd, (void *)&address, sizeof(address)))
		die("connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (!strcmp(argv[1], "ping") && numbers[0] && numbers[1])
		ping(fd, numbers[0], numbers[1]);
	else if (!strcmp(argv[1], "stream") && numbers[0] && numbers[3] <= CHUNK)
		stream(fd, numbers[0], numbers[3] ? numbers[3] : numbers[1], numbers[2]);
	else
		return 2;
	return 0;
}
