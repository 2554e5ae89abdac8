/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* How a core sleeps until one of its receive queues has something, whatever driver the queue belongs to. */
#pragma once
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "fastpath-client/fastpath_stats.h"

/* How a queue wakes its core. */
enum sleeper_kind {
	SLEEPER_SOCKET,	   /* the driver's AF_XDP socket: readable while there is a packet */
	SLEEPER_INTERRUPT, /* the driver's receive interrupt */
	SLEEPER_NONE,	   /* not at all: look again after a short sleep */
};

/* A queue, as it was found while it was set up. */
struct sleeper_queue {
	enum sleeper_kind kind;
	int fd; /* SLEEPER_SOCKET: the socket; else -1 */
	uint16_t port, queue;
};

struct sleeper {
	struct pollfd fds[FASTPATH_QUEUES_MAX + 2]; /* first the wake-up descriptor and the interrupts' epoll */
	struct sleeper_queue queues[FASTPATH_QUEUES_MAX];
	int count;
	bool blind; /* some queue cannot wake us */
	uint32_t nap_ns;
};

/* False with errno set. */
bool sleeper_init(struct sleeper *sleeper, int wake_fd);
/* A queue whose interrupt turns out not to be had becomes SLEEPER_NONE. */
void sleeper_add(struct sleeper *sleeper, struct sleeper_queue *queue);
/* Sleeps until a queue or the wake-up descriptor has something, at most `ns`. */
void sleeper_wait(struct sleeper *sleeper, uint64_t ns);
/* There was traffic: the next nap is a short one again. */
static inline void sleeper_stir(struct sleeper *sleeper)
{
	sleeper->nap_ns = 0;
}
