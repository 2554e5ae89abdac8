/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Requests in small writes through io_uring, for tests/net/test_uring.py: `uring_client PORT MESSAGES WRITES
 * async|inline`. Each message is WRITES writes of 20 bytes, linked so that they stay in order, then the echo is read
 * back and compared. With "async" the kernel runs the writes in its worker threads. Exits with 77 where the kernel has
 * no io_uring.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "uring.h"

static int connect_to(const char *port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	address.sin_port = htons((unsigned short)strtoul(port, NULL, 10));
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)))
		fail("connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

int main(int argc, char **argv)
{
	char message[ENTRIES * SIZE], echo[ENTRIES * SIZE];
	unsigned long messages, writes;
	unsigned char flags;
	struct ring ring;
	int fd;

	if (argc != 5)
		return 2;
	messages = strtoul(argv[2], NULL, 10);
	writes = strtoul(argv[3], NULL, 10);
	if (!writes || writes > ENTRIES)
		return 2;
	flags = strcmp(argv[4], "async") ? 0 : IOSQE_ASYNC;
	ring_open(&ring);
	fd = connect_to(argv[1]);
	for (unsigned long m = 0; m < messages; m++) {
		for (unsigned long i = 0; i < writes * SIZE; i++)
			message[i] = (char)(m * 31 + i * 7);
		for (unsigned long i = 0; i < writes; i++)
			ring_add(&ring, fd, message + i * SIZE, i + 1 < writes ? flags | IOSQE_IO_LINK : flags);
		ring_run(&ring, (unsigned int)writes);
		if (recv(fd, echo, writes * SIZE, MSG_WAITALL) != (ssize_t)(writes * SIZE))
			fail("recv");
		if (memcmp(echo, message, writes * SIZE)) {
			fprintf(stderr, "message %lu: bytes differ\n", m);
			return 1;
		}
	}
	printf("%lu messages\n", messages);
	return 0;
}
