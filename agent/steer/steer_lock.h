/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Who may change steering: one process at a time; and whose the rules of an interface are. */
#pragma once
#include "lib/fault.h"

/*
 * Held while pins or tables change, by the agent and the command line alike. Taking it brings the pins up to date with
 * the interfaces' names. Waits for a while, then says who holds it. Descriptor for steer_unlock(), or -1.
 */
int steer_lock(struct fault *fault);
/* The same without waiting, for an event loop. What asks for the lock until steer_unlock() in this process has it. */
int steer_try_lock(struct fault *fault);
void steer_unlock(int lock);

/*
 * An agent that applies policies to an interface owns its rules until it lets go or dies. Descriptor for
 * steer_disown(), or -1 if another process owns them.
 */
int steer_own(int ifindex, const char *interface, struct fault *fault);
/* A descriptor below 0 is none. */
void steer_disown(int ifindex, int owned);
/* Fails if another process owns them. */
int steer_may_change(int ifindex, const char *interface, struct fault *fault);
