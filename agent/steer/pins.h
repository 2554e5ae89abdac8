/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Where steering's kernel objects are pinned: one directory per interface in a bpffs. */
#pragma once
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "lib/fault.h"

#define PINS_SYSTEM "/sys/fs/bpf"	 /* where systemd, and everybody else, mounts the bpffs */
#define PINS_PRIVATE "/run/autocork/bpf" /* mounted here if there is none */

/*
 * The directory above those of the interfaces. create: mount a bpffs and make the directory where there is none.
 * Without create a missing one is an empty path and no error.
 */
int pins_root(char path[PATH_MAX], bool create, struct fault *fault);
/* ROOT/INTERFACE[/NAME]; -1 if the name cannot be an interface's. */
int pins_path(char path[PATH_MAX], const char *root, const char *interface, const char *name, struct fault *fault);
/* Removes an interface's pins, its link first: so the program goes before its tables do. */
void pins_remove(const char *root, const char *interface);
/* Calls visit for every interface with pins; stops when it returns non-zero. */
int pins_each(int (*visit)(const char *interface, void *context), void *context, struct fault *fault);
#define PINS_MORE_FILES "allow it more open files (LimitNOFILE= of its service, ulimit -n)"
/* The fault for a path that the kernel refuses: what its errno says must be done. Returns -1. */
int pins_refused(const char *path, struct fault *fault);
