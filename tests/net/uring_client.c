/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Requests in small writes through io_uring, for tests/net/test_uring.py: `uring_client PORT MESSAGES WRITES
 * async|inline`. Each message is WRITES writes of 20 bytes, linked so that they stay in order, then the echo is read
 * back and compared. With "async" the kernel runs the writes in its worker threads. Exits with 77 where the kernel has
 * no io_uring.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ENTRIES 64
#define SIZE 20

struct ring {
	int fd;
	unsigned int *tail, *mask, *array;
	unsigned int *done_head, *done_tail, *done_mask;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
};

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

/* By system call: the few lines that are needed do not ask for liburing. */
static void ring_open(struct ring *ring)
{
	struct io_uring_params p = { 0 };
	size_t size;
	char *at;

	ring->fd = (int)syscall(__NR_io_uring_setup, ENTRIES, &p);
	if (ring->fd < 0) {
		perror("io_uring_setup");
		exit(errno == ENOSYS || errno == EPERM ? 77 : 1);
	}
	if (!(p.features & IORING_FEAT_SINGLE_MMAP))
		exit(77);
	size = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);
	if (size < p.sq_off.array + p.sq_entries * sizeof(unsigned int))
		size = p.sq_off.array + p.sq_entries * sizeof(unsigned int);
	at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring->fd, IORING_OFF_SQ_RING);
	ring->sqes = mmap(NULL, p.sq_entries * sizeof(struct io_uring_sqe), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_POPULATE, ring->fd, IORING_OFF_SQES);
	if (at == MAP_FAILED || ring->sqes == MAP_FAILED)
		fail("mmap");
	ring->tail = (unsigned int *)(at + p.sq_off.tail);
	ring->mask = (unsigned int *)(at + p.sq_off.ring_mask);
	ring->array = (unsigned int *)(at + p.sq_off.array);
	ring->done_head = (unsigned int *)(at + p.cq_off.head);
	ring->done_tail = (unsigned int *)(at + p.cq_off.tail);
	ring->done_mask = (unsigned int *)(at + p.cq_off.ring_mask);
	ring->cqes = (struct io_uring_cqe *)(at + p.cq_off.cqes);
}

static void ring_add(struct ring *ring, int fd, const char *bytes, unsigned char flags)
{
	unsigned int tail = *ring->tail, index = tail & *ring->mask;

	ring->sqes[index] = (struct io_uring_sqe){
		.opcode = IORING_OP_SEND, .fd = fd, .addr = (unsigned long)bytes, .len = SIZE, .flags = flags,
		.msg_flags = MSG_WAITALL,
	};
	ring->array[index] = index;
	__atomic_store_n(ring->tail, tail + 1, __ATOMIC_RELEASE);
}

static void ring_run(struct ring *ring, unsigned int count)
{
	unsigned int left = count;

	if (syscall(__NR_io_uring_enter, ring->fd, count, count, IORING_ENTER_GETEVENTS, NULL, 0) != (long)count)
		fail("io_uring_enter");
	while (left) {
		unsigned int head = *ring->done_head;

		if (head == __atomic_load_n(ring->done_tail, __ATOMIC_ACQUIRE)) {
			syscall(__NR_io_uring_enter, ring->fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0);
			continue;
		}
		if (ring->cqes[head & *ring->done_mask].res != SIZE) {
			fprintf(stderr, "a write ended with %d\n", ring->cqes[head & *ring->done_mask].res);
			exit(1);
		}
		__atomic_store_n(ring->done_head, head + 1, __ATOMIC_RELEASE);
		left--;
	}
}

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
