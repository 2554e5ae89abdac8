/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * For who loads a copy of libautocork-endpoint.so by dlopen() instead of before the C library (libautocork-mtcp.so
 * does, one copy for each context): beside the C library's calls, which are found in the copy by their names, it has
 * these. Each copy has its own TCP and its own queue.
 */
#pragma once
#include <net/if.h>
#include <stddef.h>
#include <stdint.h>

struct ring;

struct endpoint_setup {
	uint32_t max_connections;	      /* 0: the engine's defaults (endpoint/tcp_engine.h) */
	uint32_t receive_buffer, send_buffer; /* bytes of a connection */
	char interface[IF_NAMESIZE];	      /* of the queue; empty: whichever a policy names */
	struct ring *ring;		      /* its queue, closed at the end; NULL: the agent's broker gives one */
};

/* Before the first listener. */
void autocork_endpoint_setup(const struct endpoint_setup *setup);
/*
 * Has the queue serve a listener now, not only when it is waited on. 0; or -1 with "THING: REASON: NEXT STEP" in text:
 * the kernel serves it, and the queue is asked for again later.
 */
int autocork_endpoint_serve(int listener, char *text, size_t size);
/* Gives the queue back. What is open goes on in the kernel, under its descriptors. */
void autocork_endpoint_finish(void);
