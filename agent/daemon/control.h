/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The control socket (docs/control.md): a Unix stream; a request is one JSON object on a line, {"op": NAME, …}; it is
 * answered by
 *
 *   {"reply": {…}}                        one object, or
 *   {"item": {…}} … {"end": {"items": N}} a list, or a stream that ends when the client goes, or
 *   {"error": {"exit_code": N, "message": "THING: REASON: NEXT STEP"}}
 *
 * An operation is a row of a table (agent/parts/ops.c), so that a feature adds its own in one line. No client can make
 * the agent wait or grow: requests and clients are bounded, lists are made as fast as they are read, a client that does
 * not read is dropped.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <systemd/sd-event.h>

#include "lib/fault.h"

#define CONTROL_REQUEST_MAX 65536 /* bytes of one request */
#define CONTROL_CLIENTS_MAX 64
#define CONTROL_PENDING_MAX 262144 /* bytes that wait for a client before control_push() loses lines */
#define CONTROL_STALL_S 10	   /* a client that takes nothing for so long while something waits is dropped */
#define CONTROL_IDLE_S 600	   /* a client that asks nothing for so long is dropped */

struct daemon;
struct control;
struct control_client;

enum control_access {
	CONTROL_READ,	/* root, the agent's own user, members of the socket's group */
	CONTROL_CHANGE, /* root and the agent's own user */
};

/*
 * Answers a request: calls control_reply(), control_list() or control_subscribe() once and returns 0, or returns
 * fault_set(fault, …).
 */
typedef int control_run(struct daemon *daemon, struct control_client *client, const json_t *request,
			struct fault *fault);

struct control_op {
	const char *name;
	enum control_access access;
	control_run *run;
};

/*
 * Takes the socket at path: takes over a stale one, refuses one that is in use or is something else. The loop and the
 * ops must outlive it; daemon is handed to them as it is. control_stop() closes every client and removes the socket;
 * NULL is allowed.
 */
int control_start(struct control **control, sd_event *loop, const char *path, const struct control_op *ops,
		  size_t op_count, struct daemon *daemon, struct fault *fault);
void control_stop(struct control *control);

/* Answers with one object. Takes the reference. */
void control_reply(struct control_client *client, json_t *value);

/* Answers with a list: next() is called as the client reads and returns NULL at the end; done() always follows, once.
 */
struct control_list {
	json_t *(*next)(void *context);
	void (*done)(void *context);
	void *context;
};
void control_list(struct control_client *client, const struct control_list *list);

/*
 * Answers with a stream that lasts until the client goes; then gone() is called, once, and the client must not be used
 * any more. control_push() takes the reference and returns false where the line was lost because the client reads too
 * slowly.
 */
void control_subscribe(struct control_client *client, void (*gone)(void *context), void *context);
bool control_push(struct control_client *client, json_t *value);

/*
 * To be called after control_subscribe(). A client that closes its side of the connection wants the stream to end: then
 * finish() is called, with the context of gone(), which is not called any more. It answers with control_list().
 */
void control_on_end(struct control_client *client, void (*finish)(void *context));
