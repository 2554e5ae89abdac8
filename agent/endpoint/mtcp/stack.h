/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * A TCP for one context: a private copy of libautocork-endpoint.so. Its engine has globals, so each context loads the
 * library anew, from a file in memory; what it puts in front of the C library for others is called here by its address.
 */
#pragma once
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "endpoint/preload/embed.h"

/* X(type, name, arguments) */
#define STACK_FUNCTIONS(X) \
	X(int, listen, (int, int)) \
	X(int, accept4, (int, struct sockaddr *, socklen_t *, int)) \
	X(int, connect, (int, const struct sockaddr *, socklen_t)) \
	X(int, getsockname, (int, struct sockaddr *, socklen_t *)) \
	X(int, getpeername, (int, struct sockaddr *, socklen_t *)) \
	X(int, getsockopt, (int, int, int, void *, socklen_t *)) \
	X(int, setsockopt, (int, int, int, const void *, socklen_t)) \
	X(ssize_t, read, (int, void *, size_t)) \
	X(ssize_t, readv, (int, const struct iovec *, int)) \
	X(ssize_t, write, (int, const void *, size_t)) \
	X(ssize_t, writev, (int, const struct iovec *, int)) \
	X(ssize_t, recv, (int, void *, size_t, int)) \
	X(ssize_t, send, (int, const void *, size_t, int)) \
	X(ssize_t, sendmsg, (int, const struct msghdr *, int)) \
	X(int, close, (int)) \
	X(int, fcntl, (int, int, ...)) \
	X(int, ioctl, (int, unsigned long, ...)) \
	X(int, epoll_ctl, (int, int, int, struct epoll_event *)) \
	X(int, epoll_wait, (int, struct epoll_event *, int, int)) \
	X(void, autocork_endpoint_setup, (const struct endpoint_setup *)) \
	X(int, autocork_endpoint_serve, (int, char *, size_t)) \
	X(void, autocork_endpoint_finish, (void))

struct stack {
	struct stack *next; /* of those in no use */
#define X(type, name, arguments) type(*name) arguments;
	STACK_FUNCTIONS(X)
#undef X
};

/* The path of a library of ours: beside this one, or where `make install` puts it. 0 or -1. */
int stack_find(const char *library, char *path, size_t size);
/* One that nobody uses, or NULL with a reason in text. */
struct stack *stack_get(char *text, size_t size);
/* It has finished. A copy cannot be unloaded while its threads live: it waits for the next context. */
void stack_put(struct stack *stack);
