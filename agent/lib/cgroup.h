/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The cgroup v2 hierarchy, pure or hybrid: where it is mounted, and the ids BPF knows its cgroups by. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "lib/fault.h"

/*
 * The directory on which cgroup2 is mounted, found once from /proc/self/mountinfo: "/sys/fs/cgroup" where the hierarchy
 * is pure, "/sys/fs/cgroup/unified" where it is hybrid. NULL with a fault where there is none. The string lives as long
 * as the process.
 */
const char *cgroup_root(struct fault *fault);

/* The same, from a file in the format of mountinfo (proc(5)) and never cached: malloc()ed, NULL where there is none. */
char *cgroup_root_from(const char *mountinfo);

/*
 * The id of a cgroup directory, as bpf_get_current_cgroup_id() and cgroup->kn->id give it. It is the inode number:
 * kernfs ids are inode numbers on 64-bit kernels since 5.5 (commit 40430452fd5d). 0 and errno where the directory
 * cannot be had.
 */
uint64_t cgroup_id(const char *directory);

/* Is it the root of the whole hierarchy, not of the part that a cgroup namespace shows? */
bool cgroup_is_root(const char *directory);
