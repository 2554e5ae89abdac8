/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The agent's side of the release processes (agent/release/): starts them, and another one in the place of each that
 * does not answer. One that waits for a lock that somebody keeps cannot be ended; it is left behind, and the control
 * group of that socket alone.
 */
#pragma once
#include <autocork/control.h>
#include <autocork/release.h>
#include <sys/types.h>

#include "engine/features.h"
#include "engine/objects.h"

/* Left behind at once. With more, nothing is held until one of them is gone. */
#define RELEASER_STUCK_MAX 8

struct releaser {
	struct releaser_worker {
		pid_t pid;   /* 0 = none */
		bool killed; /* it waits for a lock, and there was no room to leave it behind */
		int error;   /* why the last one could not be started */
	} worker[AC_RELEASE_WORKERS];
	size_t workers; /* 0: nothing may be held */
	struct releaser_stuck {
		pid_t pid; /* 0 = this place is free */
		uint64_t since_us;
		uint32_t number;	 /* of the record whose socket it waits for; 0 = something else */
		uint64_t cookie, cgroup; /* of that socket */
	} stuck[RELEASER_STUCK_MAX];
	bool forgave; /* a control group may be managed again: its flows are to be looked at */
	struct ac_releaser *state;
	struct ac_owner *owners;
	size_t owner_count;
	int dues, owners_map, state_map, find, avoided; /* descriptors, somebody else's */
	struct ac_control *control;
};

/* Starts them, and notes how that went. False if nothing may be held. `find`: bpf/find.bpf.c's program. */
bool releaser_start(struct releaser *releaser, const struct shared_maps *shared, int find, struct ac_control *control,
		    size_t owners, struct features *features);
/* One of them does not answer, says the kernel side. */
void releaser_is_stuck(struct releaser *releaser);
/* Now and then: has one of them ended, or one that was left behind? */
void releaser_look(struct releaser *releaser);
void releaser_stop(struct releaser *releaser);
