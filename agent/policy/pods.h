/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The Kubernetes pods of this machine and their control groups, from what the kubelet leaves in the file system. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#define PODS_DIRS_MAX 8192

struct pod {
	char *name; /* "NAMESPACE/NAME" */
	char *path; /* of a control group that is the pod's, or one container's of it, below the root */
};

struct pods {
	struct pod *list;
	size_t count;
	bool cut; /* there are more control groups than are looked at: PODS_DIRS_MAX */
};

/* Adds those that have a control group. Directories that do not exist hold none. */
void pods_read(struct pods *pods, const char *cgroup_root, const char *containers, const char *logs);
void pods_free(struct pods *pods);
