/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Sleeping until there is a packet: see sleeper.h. */
#include "fastpath/sleeper.h"

#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <rte_ethdev.h>

#ifndef AF_XDP
#define AF_XDP 44	/* linux/socket.h, 4.18 */
#endif

#define NAP_MIN_NS 20000u	/* first sleep of a queue that cannot wake us, then twice as long each time */
#define NAP_MAX_NS 500000u
/* A packet between the last look and the arming of an interrupt may raise none with some drivers. */
#define INTERRUPT_MAX_NS 10000000u

void sleeper_snapshot(struct sleeper_sockets *sockets)
{
	memset(sockets, 0, sizeof(*sockets));
	for (int fd = 0; fd < (int)sizeof(sockets->bits) * 8; fd++) {
		socklen_t length = sizeof(int);
		int domain;

		if (!getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) && domain == AF_XDP)
			sockets->bits[fd / 64] |= 1ull << fd % 64;
	}
}

int sleeper_new_socket(const struct sleeper_sockets *before, const struct sleeper_sockets *after)
{
	for (size_t i = 0; i < sizeof(after->bits) / sizeof(after->bits[0]); i++) {
		uint64_t added = after->bits[i] & ~before->bits[i];

		if (added)
			return i * 64 + __builtin_ctzll(added);
	}
	return -1;
}

void sleeper_init(struct sleeper *sleeper, int wake_fd)
{
	memset(sleeper, 0, sizeof(*sleeper));
	sleeper->fds[0] = (struct pollfd){ .fd = wake_fd, .events = POLLIN };
}

void sleeper_add(struct sleeper *sleeper, const struct sleeper_queue *queue)
{
	sleeper->queues[sleeper->count] = *queue;
	sleeper->count++;
	/* poll() skips a negative descriptor. */
	sleeper->fds[sleeper->count] = (struct pollfd){ .fd = queue->fd, .events = POLLIN };
	if (queue->kind == SLEEPER_NONE)
		sleeper->blind = true;
}

void sleeper_wait(struct sleeper *sleeper, uint64_t ns)
{
	struct timespec timeout;
	uint64_t token;

	if (sleeper->blind) {
		sleeper->nap_ns = RTE_MIN(RTE_MAX(sleeper->nap_ns * 2, NAP_MIN_NS), NAP_MAX_NS);
		ns = RTE_MIN(ns, sleeper->nap_ns);
	}
	for (int i = 0; i < sleeper->count; i++) {
		if (sleeper->queues[i].kind != SLEEPER_INTERRUPT)
			continue;
		rte_eth_dev_rx_intr_enable(sleeper->queues[i].port, sleeper->queues[i].queue);
		ns = RTE_MIN(ns, INTERRUPT_MAX_NS);
	}
	timeout = (struct timespec){ .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };
	ppoll(sleeper->fds, sleeper->count + 1, &timeout, NULL);
	for (int i = 0; i < sleeper->count; i++) {
		if (sleeper->queues[i].kind != SLEEPER_INTERRUPT)
			continue;
		rte_eth_dev_rx_intr_disable(sleeper->queues[i].port, sleeper->queues[i].queue);
		/* An event counter: reading it is what makes it quiet again. */
		if (sleeper->fds[i + 1].revents & POLLIN && read(sleeper->queues[i].fd, &token, sizeof(token)) < 0)
			sleeper->fds[i + 1].revents = 0;
	}
}
