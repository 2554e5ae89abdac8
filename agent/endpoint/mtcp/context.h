/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* A context: its TCP, and the table from its socket numbers to the process's descriptors. */
#pragma once
#include <pthread.h>
#include <stdbool.h>

#include "endpoint/mtcp/mtcp_api.h"
#include "endpoint/mtcp/stack.h"

#define API __attribute__((visibility("default")))

struct entry {
	int fd;
	enum socket_type type; /* MTCP_SOCK_UNUSED: fd is the next free number */
};

struct mtcp_context {
	struct stack *stack;
	int cpu;
	bool dpdk; /* its queue is DPDK's */
	bool told; /* that the kernel serves */
	struct {
		in_addr_t base; /* network byte order; INADDR_ANY: the kernel chooses */
		uint32_t count, turn;
	} sources;
	pthread_mutex_t lock; /* of what follows; reading one's own entry needs none */
	struct entry *entries;
	int size, free; /* the first free number; -1: none */
	uint32_t streams;
};

/* A line on stderr: "autocork-mtcp: TEXT". */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Sets up the table. 0 or -1 with errno. */
int context_open_table(mctx_t mctx, int size);
void context_close_table(mctx_t mctx);

/*
 * The descriptor of a number, of one of these types (bits 1 << type; 0: of any), or -1 with errno: EACCES, EBADF, or
 * wrong (an errno value) if it is another type.
 */
int context_find(mctx_t mctx, int sockid, unsigned types, int wrong);
/* The number for a new descriptor, or -1 with errno; the descriptor is then closed. */
int context_add(mctx_t mctx, int fd, enum socket_type type);
/* Room for one more? -1 with ENFILE if not. */
int context_has_room(mctx_t mctx);
void context_remove(mctx_t mctx, int sockid);
void context_turn_into(mctx_t mctx, int sockid, enum socket_type type);

#define ANY_SOCKET (1u << MTCP_SOCK_STREAM | 1u << MTCP_SOCK_LISTENER)
