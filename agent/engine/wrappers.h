/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The wrappers around the kernel's congestion controls: which ones the kernel takes, registered. */
#pragma once
#include <autocork/flow.h>

#include "engine/features.h"
#include "engine/objects.h"

struct wrapper {
	struct bpf_object *object; /* NULL = not registered */
	int link;		   /* struct_ops link, gone with this process; -1 before 6.4 */
	int map;		   /* the struct_ops map, for registrations without a link */
};

/* Removes registrations that an agent killed on a kernel without struct_ops links has left behind. Returns how many. */
int wrappers_remove_stale(void);
/* Registers all that work. Returns the set of them as bits of enum ac_wrapper. */
uint64_t wrappers_register(struct wrapper wrappers[AC_WRAPPER_MAX], struct shared_maps *shared,
			   struct features *features);
void wrappers_unregister(struct wrapper wrappers[AC_WRAPPER_MAX]);
