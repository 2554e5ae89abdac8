/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The process's own TCP: one engine on one queue, made when the first listener is waited on, and the one lock that
 * guards it, the files (descriptors.h) and the epoll sets.
 */
#pragma once
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "endpoint-broker/protocol.h"
#include "endpoint/preload/descriptors.h"
#include "endpoint/preload/embed.h"
#include "endpoint/tcp_engine.h"

#define FOREVER UINT64_MAX

void instance_lock(void);
/* As instance_lock(), but false where the caller interrupted itself in mid-work (a signal's handler that exits). */
bool instance_try_lock(void);
void instance_unlock(void);

/* All that follows is to be called with the lock. */

/* A listener is about to be waited on: has the queue, if there is one to have, serve it too. */
void instance_serve(int fd, struct file *listener);
/* The listener is closed, or listens no more. */
void instance_stop_serving(struct file *listener);
bool instance_exists(void);

uint64_t instance_now(void); /* CLOCK_MONOTONIC, ns */
/* Takes what the ring has, runs what is due, sends what is ready. */
void instance_poll(void);
/* The same, but what is ready to leave stays for instance_sleep() or instance_events(). */
void instance_look(void);
void instance_flush(void); /* what was written leaves now */
/* What was written to it leaves now, with what else of these events is written, or with the next wait. */
void instance_written(const struct file *writer);
void instance_events(unsigned count); /* a wait ends: so many events are given to the program */

/* Without the lock: the program turns to something else. Nothing is kept back for its next wait, which may be late. */
void instance_elsewhere(void);

/*
 * Sleeps until the ring, one of fds, or the deadline has something to say, then polls. The lock is given up meanwhile.
 * The number of fds that are ready, 0, or -1 with errno (EINTR).
 */
int instance_sleep(struct pollfd *fds, nfds_t count, uint64_t deadline, const sigset_t *mask);

/* Somebody else may sleep on what has just changed. */
void instance_wake_others(void);

/* The connection goes on in the kernel, under all its descriptors. 0, or -1: it stays. */
int instance_hand_over(struct file *connection, enum endpoint_reason reason);
void instance_hand_over_all(enum endpoint_reason reason);
/*
 * Those that the agent has asked for, for a policy is gone. True if there were any: what the caller has looked up of
 * the files is to be looked up again.
 */
bool instance_move_away(void);
/* A connection that nobody has a descriptor of any more. */
void instance_end(struct file *file);

void instance_setup(const struct endpoint_setup *setup); /* before there is one */
void instance_finish(void);    /* the queue is given back; what is still open goes on in the kernel */
void instance_forked(void);    /* in the child */
bool instance_is_asleep(void); /* this thread is in instance_sleep(), and holds nothing: for a signal's handler */
void instance_exits(void);     /* what is open and what still waits to be sent goes on in the kernel */
/* False in the child of vfork(), which has the parent's memory: its calls are its own descriptors' alone. */
bool instance_is_own_process(void);
