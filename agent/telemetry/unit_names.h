/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Names of cgroups by id, as users know them: the systemd unit, else the directory. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#define UNIT_NAME_LEN 256	/* NAME_MAX and a NUL: of a container's id alone there are 64 digits */

struct unit_names;

struct unit_names *unit_names_new(void);
void unit_names_free(struct unit_names *names);
/* The name of a cgroup; "" is the root, "-" one that is gone and was never asked for before. Valid until the next call.
 */
const char *unit_name(struct unit_names *names, uint64_t cgroup);
/* The part of a cgroup's path (below the root, "/system.slice/nginx.service/worker") that users know it by. Pure. */
void unit_name_from_path(const char *path, char *name, size_t size);
