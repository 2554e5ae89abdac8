/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "release/dues.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* The kernel rounds lengths up to this (kernel/bpf/ringbuf.c). */
#define ALIGNMENT 8

int dues_map(struct dues *dues, int fd)
{
	size_t page = sysconf(_SC_PAGESIZE);
	struct bpf_map_info info = {};
	unsigned int size = sizeof(info);
	void *taken, *given;

	if (bpf_obj_get_info_by_fd(fd, &info, &size))
		return errno;
	taken = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	given = mmap(NULL, page + 2 * (size_t)info.max_entries, PROT_READ, MAP_SHARED, fd, page);
	if (taken == MAP_FAILED || given == MAP_FAILED)
		return errno;
	*dues = (struct dues){
		.fd = fd, .taken = taken, .given = given, .data = (char *)given + page, .mask = info.max_entries - 1
	};
	return 0;
}

/* False if whoever writes the record is still at it. */
static bool is_written(const struct dues *dues, unsigned long at, unsigned int *length)
{
	*length = __atomic_load_n((const unsigned int *)(dues->data + (at & dues->mask)), __ATOMIC_ACQUIRE);
	return !(*length & BPF_RINGBUF_BUSY_BIT);
}

/*
 * The record is copied first, then taken: the kernel does not write over it before that, and if somebody else was
 * faster, the copy is not used. Nobody waits for a process that is killed or stopped in between.
 */
bool dues_take(struct dues *dues, struct ac_due *due)
{
	unsigned long at = __atomic_load_n(dues->taken, __ATOMIC_ACQUIRE), next;
	unsigned int length;

	while (at != __atomic_load_n(dues->given, __ATOMIC_ACQUIRE) && is_written(dues, at, &length)) {
		memcpy(due, dues->data + (at & dues->mask) + BPF_RINGBUF_HDR_SZ, sizeof(*due));
		next = at + (((length & ~BPF_RINGBUF_DISCARD_BIT) + BPF_RINGBUF_HDR_SZ + ALIGNMENT - 1) &
			     ~(ALIGNMENT - 1ul));
		if (__atomic_compare_exchange_n(dues->taken, &at, next, false, __ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE) &&
		    !(length & BPF_RINGBUF_DISCARD_BIT))
			return true;
		at = __atomic_load_n(dues->taken, __ATOMIC_ACQUIRE);
	}
	return false;
}

int dues_wait(const struct dues *dues, int64_t rest_us)
{
	const struct timespec rest = { .tv_sec = rest_us / 1000000, .tv_nsec = rest_us % 1000000 * 1000 };
	const struct timespec moment = { .tv_nsec = 20000 };
	struct pollfd ring = { .fd = dues->fd, .events = POLLIN };
	unsigned long at = __atomic_load_n(dues->taken, __ATOMIC_ACQUIRE);
	unsigned int length;

	/* To poll(2) a record that is being written is there already; we run in real time, and may keep its writer from
	 * ever ending it. */
	if (at != __atomic_load_n(dues->given, __ATOMIC_ACQUIRE) && !is_written(dues, at, &length)) {
		nanosleep(&moment, NULL);
		return 0;
	}
	return ppoll(&ring, 1, rest_us < 0 ? NULL : &rest, NULL) < 0 && errno != EINTR ? errno : 0;
}
