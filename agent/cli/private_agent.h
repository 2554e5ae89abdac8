/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* An agent for the time of one command, where none runs: it observes every flow of this machine and manages none. */
#pragma once
#include <limits.h>
#include <sys/types.h>

#include "lib/fault.h"

struct private_agent {
	pid_t pid;
	char directory[32], control[64];
};

/* Starts autocorkd and waits until it answers. It ends with this process, whatever becomes of it. */
int private_agent_start(struct private_agent *agent, struct fault *fault);
void private_agent_stop(struct private_agent *agent);
