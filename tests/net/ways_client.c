/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * A message of PIECES pieces by each way of writing, on a connection and a loopback port of its own: `ways_client
 * FIRST_PORT SECONDS ROUNDS`. Prints {"NAME": {"port": N, "messages": all, "segments": of a message in the last
 * ROUNDS}, ...}: the rounds begin once a message has left as one segment, or after that time. Each message is compared,
 * and answered.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <time.h>

#include "uring.h"

#define PIECES 5
#define LENGTH (PIECES * SIZE)
#define HOME "127.0.0.1"

static char message[LENGTH];
static int file, pipe_out, pipe_in;
static struct ring ring;

static bool took(ssize_t written, size_t asked)
{
	return written == (ssize_t)asked;
}

static bool by_write(int fd, int i)
{
	return took(write(fd, message + i * SIZE, SIZE), SIZE);
}

static bool by_writev(int fd, int i)
{
	struct iovec parts[] = { { message + i * SIZE, 5 }, { message + i * SIZE + 5, SIZE - 5 } };

	return took(writev(fd, parts, 2), SIZE);
}

static bool by_send(int fd, int i)
{
	return took(send(fd, message + i * SIZE, SIZE, 0), SIZE);
}

static bool by_sendmsg(int fd, int i)
{
	struct iovec parts[] = { { message + i * SIZE, 7 }, { message + i * SIZE + 7, SIZE - 7 } };
	struct msghdr header = { .msg_iov = parts, .msg_iovlen = 2 };

	return took(sendmsg(fd, &header, 0), SIZE);
}

static bool by_sendfile(int fd, int i)
{
	off_t at = i * SIZE;

	return took(sendfile(fd, file, &at, SIZE), SIZE);
}

static bool by_splice(int fd, int i)
{
	off_t at = i * SIZE;

	return took(splice(file, &at, pipe_in, NULL, SIZE, 0), SIZE) &&
	       took(splice(pipe_out, NULL, fd, NULL, SIZE, 0), SIZE);
}

/* All pieces in one system call. */
static bool by_sendmmsg(int fd, int i)
{
	struct mmsghdr headers[PIECES] = { 0 };
	struct iovec parts[PIECES];

	if (i)
		return true;
	for (int k = 0; k < PIECES; k++) {
		parts[k] = (struct iovec){ message + k * SIZE, SIZE };
		headers[k].msg_hdr.msg_iov = &parts[k];
		headers[k].msg_hdr.msg_iovlen = 1;
	}
	return sendmmsg(fd, headers, PIECES, 0) == PIECES;
}

/* As web servers do. */
static bool by_header_and_sendfile(int fd, int i)
{
	off_t at = SIZE;

	if (i > 1)
		return true;
	return i ? took(sendfile(fd, file, &at, LENGTH - SIZE), LENGTH - SIZE) : by_write(fd, 0);
}

static bool by_uring(int fd, int i)
{
	ring_add(&ring, fd, message + i * SIZE, i + 1 < PIECES ? IOSQE_IO_LINK : 0);
	if (i + 1 == PIECES)
		ring_run(&ring, PIECES);
	return true;
}

/* Nobody reads the notifications: only what leaves is looked at. */
static bool by_zerocopy(int fd, int i)
{
	return took(send(fd, message + i * SIZE, SIZE, MSG_ZEROCOPY), SIZE);
}

static const struct way {
	const char *name;
	bool (*piece)(int fd, int i);
} ways[] = {
	{ "write", by_write },
	{ "writev", by_writev },
	{ "send", by_send },
	{ "sendmsg", by_sendmsg },
	{ "sendmmsg", by_sendmmsg },
	{ "sendfile", by_sendfile },
	{ "header and sendfile", by_header_and_sendfile },
	{ "splice", by_splice },
	{ "io_uring", by_uring },
	{ "zerocopy", by_zerocopy },
};

static unsigned int segments_out(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t size = sizeof(info);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size))
		fail("TCP_INFO");
	return info.tcpi_data_segs_out;
}

/* The two ends of a connection to that port. */
static void connected(int port, int *client, int *server)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
	int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	inet_pton(AF_INET, HOME, &address.sin_addr);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 1))
		fail("listen");
	*client = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(*client, (struct sockaddr *)&address, sizeof(address)))
		fail("connect");
	*server = accept(listener, NULL, NULL);
	close(listener);
	setsockopt(*client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(*server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(*client, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof(on));
}

static void exchange(const struct way *way, int client, int server)
{
	char got[LENGTH];

	for (int i = 0; i < PIECES; i++)
		if (!way->piece(client, i))
			fail(way->name);
	if (recv(server, got, LENGTH, MSG_WAITALL) != LENGTH || memcmp(got, message, LENGTH)) {
		fprintf(stderr, "%s: bytes differ\n", way->name);
		exit(1);
	}
	if (send(server, "ok", 2, 0) != 2 || recv(client, got, 2, MSG_WAITALL) != 2)
		fail("the answer");
}

/* Until a message is one segment: how many messages that took. */
static int learn(const struct way *way, int client, int server, time_t seconds)
{
	time_t end = time(NULL) + seconds;
	unsigned int before;
	int messages = 0;

	do {
		before = segments_out(client);
		exchange(way, client, server);
		messages++;
		usleep(1000); /* below what the agent looks at in full */
	} while (segments_out(client) - before > 1 && time(NULL) <= end);
	return messages;
}

static void measure(const struct way *way, int port, time_t seconds, int rounds)
{
	int client, server, messages;
	unsigned int before;

	connected(port, &client, &server);
	messages = learn(way, client, server, seconds) + rounds;
	before = segments_out(client);
	for (int i = 0; i < rounds; i++)
		exchange(way, client, server);
	printf("%s\"%s\": {\"port\": %d, \"messages\": %d, \"segments\": %.2f}", way == ways ? "{" : ", ", way->name,
	       port, messages, (segments_out(client) - before) / (double)rounds);
	fflush(stdout);
	close(client);
	close(server);
}

int main(int argc, char **argv)
{
	int ends[2];

	if (argc != 4)
		return 2;
	for (int i = 0; i < LENGTH; i++)
		message[i] = (char)(i * 7 + i / 3);
	file = memfd_create("message", 0);
	if (!took(write(file, message, LENGTH), LENGTH) || pipe(ends))
		fail("memfd or pipe");
	pipe_out = ends[0];
	pipe_in = ends[1];
	ring_open(&ring);
	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++)
		measure(&ways[i], atoi(argv[1]) + (int)i, atoi(argv[2]), atoi(argv[3]));
	puts("}");
	return 0;
}
