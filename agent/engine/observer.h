/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The observer's hooks: fentry where the kernel takes it, tracepoints elsewhere, chosen by trying. */
#pragma once
#include <stdbool.h>

#include "engine/features.h"
#include "engine/objects.h"

#define OBSERVER_LINKS 8

struct observer {
	struct bpf_object *object;
	struct bpf_link *links[OBSERVER_LINKS];
	size_t link_count;
};

/* Attaches the best set of hooks that works. Returns 0 even where none does: flows are then only seen on their wrapper. */
int observer_start(struct observer *observer, struct shared_maps *shared, bool without_fentry, struct features *features);
void observer_stop(struct observer *observer);
