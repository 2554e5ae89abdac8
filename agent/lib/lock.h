/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Lock files: held by a living process, free again when it dies however it dies. */
#pragma once
#include <sys/types.h>

/*
 * Takes the lock and writes our process id into the file. Returns a descriptor, or a negative errno: -EWOULDBLOCK if
 * another process holds it (*holder: its id, 0 if it did not say).
 */
int lock_take(const char *path, pid_t *holder);
/* Gives it up and removes the file. A descriptor below 0 is none. */
void lock_release(const char *path, int fd);
/* Who holds a flock() on the file, as the kernel knows; 0 if nobody does that can be seen from here. */
pid_t lock_holder(int fd);
