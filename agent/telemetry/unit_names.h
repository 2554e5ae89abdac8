/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Names of cgroups by id, as users know them: the systemd unit, else the directory. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#define CONTAINER_ID_LEN 65 /* 64 hexadecimal digits and a NUL */
#define UNIT_NAME_LEN 256   /* NAME_MAX and a NUL: of a container's id alone there are 64 digits */

struct unit_names;

struct unit_names *unit_names_new(void);
void unit_names_free(struct unit_names *names);
/* The name of a cgroup; "" is the root, "-" one that is gone and was never asked for before. Valid until the next call.
 */
const char *unit_name(struct unit_names *names, uint64_t cgroup);
/* The id of the container that a cgroup is in, as unit_name(); "" where it is in none. */
const char *unit_container(struct unit_names *names, uint64_t cgroup);
/* The same of a path. Docker, containerd, CRI-O and Podman name a container's cgroup by its id: `ID`,
 * `docker-ID.scope`, `cri-containerd-ID.scope`, `crio-ID.scope`, `libpod-ID.scope`. Pure. */
void container_from_path(const char *path, char id[CONTAINER_ID_LEN]);
/* The part of a cgroup's path (below the root, "/system.slice/nginx.service/worker") that users know it by. Pure. */
void unit_name_from_path(const char *path, char *name, size_t size);
