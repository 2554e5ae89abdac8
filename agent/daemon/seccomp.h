/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The system calls that the agent and what it starts may make: what packaging/autocorkd.service lets through, also by
 * hand. */
#pragma once
#include "lib/fault.h"

/* For ever, with no_new_privs. A kernel without seccomp is warned of. */
int seccomp_confine(struct fault *fault);
