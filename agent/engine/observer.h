/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The observer's hooks: fentry where the kernel takes it, tracepoints elsewhere, chosen by trying. Hooks that watch
 * cost every TCP write and read of the machine, so they hang only while there are flows to watch.
 */
#pragma once
#include <stdbool.h>

#include "engine/features.h"
#include "engine/objects.h"

#define HOOK_PROGRAMS 2

enum hook_purpose { HOOK_WRITES, HOOK_READS, HOOK_WAITS, HOOK_OPTIONS, HOOK_PACKETS, HOOK_VIEW, HOOK_PURPOSES };

/* What serves one purpose: loaded for as long as the agent runs, attached when it is wanted. */
struct hook {
	struct observe_bpf *opened;		     /* NULL where the kernel takes no way to serve it */
	struct bpf_program *programs[HOOK_PROGRAMS]; /* up to the first NULL */
	struct bpf_link *links[HOOK_PROGRAMS];
};

struct observer {
	struct hook hooks[HOOK_PURPOSES];
	int cgroup; /* descriptor, the caller's */
};

/* Loads the best set of hooks that works, and attaches those that are always there. Returns 0 even where no hook
 * works. */
int observer_start(struct observer *observer, int cgroup, struct shared_maps *shared, bool without_fentry,
		   struct features *features);
/* Attaches or detaches what watches writes and reads, and, if it is to, what counts small packets. Returns 0 or
 * -errno. */
int observer_watch(struct observer *observer, bool on, bool small_packets);
void observer_stop(struct observer *observer);
