/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Asking the broker in the agent (endpoint-broker/protocol.h). Each call waits for the answer, for 5 s at most. */
#pragma once
#include "endpoint-broker/protocol.h"

/* A descriptor, or -1: no agent with an endpoint runs. */
int ask_connect(void);
/* Why the last request failed: "THING: REASON: NEXT STEP". */
const char *ask_refusal(void);
/* Descriptors of what the program and the agent, or the steering, share. */
struct ask_pages {
	int statistics, door;
};
/* 0, or an errno value. An empty interface: whichever a policy names. */
int ask_open(int broker, int listener, const char *interface, struct endpoint_answer *grant, struct ask_pages *pages);
/* To a new agent: this queue's socket is here. */
int ask_join(int broker, int xsk, const char *interface, uint32_t queue, struct ask_pages *pages);
int ask_listen(int broker, int listener);
void ask_unlisten(int broker, uint16_t port);
/* Whether the agent has said, unasked, that the connections to a port are to move to the kernel. */
bool ask_next_move(uint16_t *port);
/* Takes in what it has said. */
void ask_hear_unasked(int broker);
/* The kernel's socket, or -1. */
int ask_hand_over(int broker, const struct handover *connection, enum endpoint_reason reason, int bytes, uint32_t size,
		  uint32_t *taken);
