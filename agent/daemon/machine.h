/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* One agent per kernel: its congestion controls have kernel-wide names, and a start removes what a killed agent left.
 */
#pragma once
#include "lib/fault.h"

struct machine {
	int lock;  /* in /run; -1 = the machine is not ours */
	int claim; /* a map that others see, whatever their /run is */
};

/* 0, or -1 with a fault that names the process that is in the way. */
int machine_take(struct machine *machine, struct fault *fault);
void machine_release(struct machine *machine);
