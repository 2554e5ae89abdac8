/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Another process's descriptor of a socket: taken, checked, used, given up. Nothing is opened by a path. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* A copy of descriptor `fd` of that process, or -errno. */
int descriptor_take(pid_t process, int fd);
/* The same, if it is of the socket with that cookie. The process stays open for the next time. */
int descriptor_take_socket(pid_t process, int fd, uint64_t cookie);
/*
 * Sends what waits in the socket, as far as Nagle's algorithm lets it: clears TCP_CORK where that is not set, which
 * changes nothing else. A socket that the program has corked is left as it is. Waits for the socket's lock.
 */
void descriptor_push(int socket);
