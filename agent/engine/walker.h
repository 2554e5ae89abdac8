/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Work that may wait for a lock that a program keeps: passes over sockets, descriptors of strangers. A child does it;
 * one that is stuck is left behind, and what it was at is not tried again while it is.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define WALKERS_STUCK_MAX 8

/* Runs it in a child and waits for its end, or until it is stuck. Returns what it returned (0 or -errno), -EDEADLK if
 * it was left behind. Of the agent's descriptors the child keeps `fd` only: one that is stuck would keep the next agent
 * from the lock, the ports and the names of the wrappers. */
typedef int walker_run(void *context);
int walker_do(walker_run *run, void *context, int fd);
/* In the child: the network namespace that it goes through from now on. */
void walker_at(uint32_t netns);
/* Is one left behind in that namespace? */
bool walker_is_stuck(uint32_t netns);
