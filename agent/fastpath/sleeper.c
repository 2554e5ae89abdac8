/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Sleeping until there is a packet: see sleeper.h. */
#include "fastpath/sleeper.h"

#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#include <rte_epoll.h>
#include <rte_ethdev.h>
#include <rte_interrupts.h>

#define NAP_MIN_NS 20000u /* first sleep of a queue that cannot wake us, then twice as long each time */
#define NAP_MAX_NS 500000u
/* A packet between the last look and the arming of an interrupt may raise none with some drivers. */
#define INTERRUPT_MAX_NS 10000000u

enum { WAKE, INTERRUPTS, FIRST_QUEUE };

bool sleeper_init(struct sleeper *sleeper, int wake_fd)
{
	memset(sleeper, 0, sizeof(*sleeper));
	sleeper->fds[WAKE] = (struct pollfd){ .fd = wake_fd, .events = POLLIN };
	sleeper->fds[INTERRUPTS] = (struct pollfd){ .fd = epoll_create1(EPOLL_CLOEXEC), .events = POLLIN };
	return sleeper->fds[INTERRUPTS].fd >= 0;
}

void sleeper_add(struct sleeper *sleeper, struct sleeper_queue *queue)
{
	if (queue->kind == SLEEPER_INTERRUPT &&
	    rte_eth_dev_rx_intr_ctl_q(queue->port, queue->queue, sleeper->fds[INTERRUPTS].fd, RTE_INTR_EVENT_ADD, NULL))
		queue->kind = SLEEPER_NONE;
	if (queue->kind == SLEEPER_NONE)
		sleeper->blind = true;
	/* poll() skips a negative descriptor. */
	sleeper->fds[FIRST_QUEUE + sleeper->count] = (struct pollfd){ .fd = queue->fd, .events = POLLIN };
	sleeper->queues[sleeper->count++] = *queue;
}

/* Arms or disarms the interrupts; true if there are any. */
static bool switch_interrupts(const struct sleeper *sleeper, bool on)
{
	bool any = false;

	for (int i = 0; i < sleeper->count; i++) {
		const struct sleeper_queue *queue = &sleeper->queues[i];

		if (queue->kind != SLEEPER_INTERRUPT)
			continue;
		any = true;
		if (on)
			rte_eth_dev_rx_intr_enable(queue->port, queue->queue);
		else
			rte_eth_dev_rx_intr_disable(queue->port, queue->queue);
	}
	return any;
}

void sleeper_wait(struct sleeper *sleeper, uint64_t ns)
{
	struct rte_epoll_event events[8];
	struct timespec timeout;

	if (sleeper->blind) {
		sleeper->nap_ns = RTE_MIN(RTE_MAX(sleeper->nap_ns * 2, NAP_MIN_NS), NAP_MAX_NS);
		ns = RTE_MIN(ns, sleeper->nap_ns);
	}
	if (switch_interrupts(sleeper, true))
		ns = RTE_MIN(ns, INTERRUPT_MAX_NS);
	timeout = (struct timespec){ .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };
	ppoll(sleeper->fds, FIRST_QUEUE + sleeper->count, &timeout, NULL);
	/* DPDK knows which interrupt descriptors are event counters to be read, and which are the device itself. */
	if (sleeper->fds[INTERRUPTS].revents & POLLIN)
		rte_epoll_wait(sleeper->fds[INTERRUPTS].fd, events, RTE_DIM(events), 0);
	switch_interrupts(sleeper, false);
}
