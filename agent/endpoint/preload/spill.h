/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * A listener that several processes share has one queue in the kernel, and one on the stack of each of them. What waits
 * on the stack of a process that stops to listen moves to the kernel and into the spill: a pair of Unix sockets that
 * all processes with the listener have, in the same sets as the listener. accept() in any of them takes it from there.
 * It is made before the first fork(), and goes through exec with the listener.
 */
#pragma once
#include "endpoint/preload/descriptors.h"

/* With the lock, but for spill_inherit(). */
void spill_make(struct file *listener);
void spill_drop(struct file *listener);
void spill_make_all(void);
bool spill_is(int fd);
/* The process's own copy of the end that is written; -1: nobody else can take what is left. */
int spill_out(const struct file *listener);
bool spill_give(int out, int sock);
/* A connection, with the flags of accept4(); -1: none. */
int spill_take(int in, int flags);

/* Of listeners that stay open at exec: the environment entry, in room of `size`; false: there are none. */
bool spill_before_exec(char *entry, size_t size);
void spill_exec_failed(void);
void spill_inherit(void); /* in the new program */
void spill_adopt(struct file *listener, int fd);
