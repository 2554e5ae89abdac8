/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* io_uring by system call: the few lines that tests need do not ask for liburing. All writes are of SIZE bytes. */
#pragma once
#include <errno.h>
#include <linux/io_uring.h>
#include <stdio.h>
#include <stdlib.h>
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

/* Exits with 77 where the kernel has no io_uring. */
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
		.opcode = IORING_OP_SEND,
		.fd = fd,
		.addr = (unsigned long)bytes,
		.len = SIZE,
		.flags = flags,
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
