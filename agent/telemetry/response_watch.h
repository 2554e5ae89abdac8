/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The operation "responses": who watches has them added up in the kernel, and is told at the end. */
#pragma once
#include "daemon/daemon.h"

/* Each has programs of its own in the kernel. */
#define RESPONSE_WATCHES_MAX 8

struct response_watch;

int response_watch_subscribe(struct response_watch **watches, struct engine *engine, struct control_client *client,
			     const json_t *request, struct fault *fault);
/* Their clients may live on. */
void response_watches_stop(struct response_watch **watches);
