/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The instance's link to the agent: the conversation with its broker, the page of statistics, and the page in which the
 * steering sees the ports that the instance has closed. The agent may end and start again: the instance goes on
 * meanwhile, and joins the new one. All with the instance's lock.
 */
#pragma once
#include <autocork/steer.h>

#include "endpoint/preload/ask.h"

struct link {
	int broker;		    /* -1: no agent now */
	struct endpoint_page *page; /* NULL: none */
	struct steer_door *door;    /* NULL: none */
	int xsk;		    /* of the queue; -1: no instance */
	uint32_t queue;
	char interface[IF_NAMESIZE];
	uint64_t try_again, delay; /* CLOCK_MONOTONIC, ns */
};
extern struct link link_state;

/* Asks for a queue, for this listener. The ring's descriptors are then the caller's. 0 or -1. */
int link_open(int listener, const char *interface, struct endpoint_answer *grant);
/* The queue is given back, or belongs to the parent (in the child of a fork, where the descriptors are closed
 * already). */
void link_close(void);
void link_forked(void);

/*
 * Looks whether the agent is still there. True if another one has just been joined: it is to be told of the listeners.
 * link_deadline(): when that is to be looked at again although nothing happens.
 */
bool link_keep(uint64_t now);
/* New connections to the port come to the queue, if the broker has said so too, or go to the kernel at once. */
void link_open_port(uint16_t port);
void link_shut_port(uint16_t port);
uint64_t link_deadline(void);
