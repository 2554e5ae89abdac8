/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Asking a running agent over its control socket (agent/daemon/control.h says what travels there). */
#pragma once
#include <jansson.h>
#include <stdbool.h>

#include "lib/fault.h"

/* Does anybody listen there? Not so where no socket is, or one that a killed agent left. */
bool client_listens(const char *control);

/*
 * Both take the reference to the request, connect, ask, and close. An agent's error arrives as the fault, with its exit
 * code.
 *
 * client_call(): the reply belongs to the caller. Fails after 10 seconds without one.
 */
int client_call(const char *control, json_t *request, json_t **reply, struct fault *fault);
/*
 * client_list(): visits each item (borrowed) until the end, or until a visitor returns non-zero, which is then the
 * result. A stream may be silent for as long as it likes.
 */
typedef int client_visit(json_t *item, void *context);
int client_list(const char *control, json_t *request, client_visit *visit, void *context, struct fault *fault);
/* The same, but after so many seconds, or at SIGINT, the agent is asked to end the stream; what it then says is visited
 * too. To be followed by interrupt_finish() (cli/interrupt.h), once that is shown. */
int client_watch(const char *control, json_t *request, double seconds, client_visit *visit, void *context,
		 struct fault *fault);
