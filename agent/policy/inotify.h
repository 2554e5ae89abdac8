/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What the watches of directories share: reading what inotify tells, and what of it concerns a path. */
#pragma once
#include <stdbool.h>
#include <sys/inotify.h>

#include "lib/fault.h"

/* Is the entry a part of the path? */
bool inotify_on_path(const char *path, const char *entry);

/* Reads all that the descriptor has to tell. True if it lost something, or one of the events concerns the caller. */
typedef bool inotify_concerns(const void *context, const struct inotify_event *event);
bool inotify_read(int fd, inotify_concerns *concerns, const void *context);

/* error: -errno of a call of inotify. Returns -1. */
int inotify_fault(int error, struct fault *fault);
