/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The observer's hooks: fentry where the kernel takes it, tracepoints elsewhere, chosen by trying. Hooks that watch cost every TCP
 * write and read of the machine, so they hang only while there are flows to watch.
 */
#pragma once
#include <stdbool.h>

#include "engine/features.h"
#include "engine/objects.h"

#define OBSERVER_LINKS 8

struct observer {
	struct bpf_object *object;		/* NULL where no hook works */
	struct bpf_link *watching[OBSERVER_LINKS], *waiting[OBSERVER_LINKS], *counting[OBSERVER_LINKS];
	const struct observer_hook *writes, *reads, *waits, *options, *packets;
	int cgroup;	/* descriptor, the caller's */
};

/* Loads the best set of hooks that works, and attaches those that notice a waiting program. Returns 0 even where no hook works. */
int observer_start(struct observer *observer, int cgroup, struct shared_maps *shared, bool without_fentry, struct features *features);
/* Attaches or detaches what watches writes and reads, and, if it is to, what counts small packets. Returns 0 or -errno. */
int observer_watch(struct observer *observer, bool on, bool small_packets);
bool observer_is_watching(const struct observer *observer);
void observer_stop(struct observer *observer);
