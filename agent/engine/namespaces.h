/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Network namespaces: iter/tcp sees only the one of whoever opens it, so the agent goes there. */
#pragma once
#include <stdint.h>

/*
 * Visits every network namespace of this machine that a process lives in or holds a descriptor of, or that ip-netns(8)
 * keeps, once each. `fd` is open during the call.
 */
typedef void namespace_visit(int fd, uint32_t inode, void *context);
void namespaces_visit(namespace_visit *visit, void *context);

/* A descriptor of the namespace with this inode number, -1 and errno if it cannot be found. */
int namespace_open(uint32_t inode);

/* Runs `run` inside a namespace, on this thread. Returns 0 or -errno if it could not be entered. Aborts if there is no
 * way back. */
int namespace_run(int fd, void (*run)(void *context), void *context);
