/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#pragma once
#include <sys/types.h>

/* The state of a child of ours as in proc(5): 'R', 'S', 'D', 'T', 'Z' …; 0 if it cannot be told. */
char process_state(pid_t child);
