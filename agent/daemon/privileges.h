/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What the agent may do in the kernel: checked before start, dropped to what is needed after it. */
#pragma once
#include "lib/fault.h"

/* Are all capabilities there that loading and attaching takes? The fault names those that are missing. */
int privileges_check(struct fault *fault);
/* Keeps the capabilities of the table in privileges.c and gives the others up for ever, this process's children
 * included. */
int privileges_drop(struct fault *fault);
