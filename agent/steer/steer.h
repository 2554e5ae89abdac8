/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Steering: the policies that say `steer =` put in force on their interfaces, by the XDP program of bpf/steer.bpf.c.
 *
 * Everything that must outlive the caller is pinned in a bpffs, one directory per interface (agent/steer/pins.h); so
 * the agent, the command line and an agent that was restarted see and change the same state, and no crash breaks a
 * steered connection. All calls are for the network namespace of the caller. agent/parts/steer_part.h is what the
 * agent does with them.
 */
#pragma once
#include <autocork/steer.h>
#include <jansson.h>
#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/fault.h"
#include "policy/set.h"

enum steer_attach_mode {
	STEER_ATTACH_AUTO, /* native, else generic */
	STEER_ATTACH_NATIVE,
	STEER_ATTACH_GENERIC,
	STEER_ATTACH_SHARE, /* tables only: who loads the program (DPDK's xdp_prog=) finds them pinned by name */
	STEER_ATTACH_MODE_MAX,
};

/*
 * Loads, attaches and pins; with no rules yet, so every packet goes to the kernel. Attached already: brings the program
 * up to date without a gap. Refuses an interface with somebody else's XDP program on it: EXIT_FAILED, nothing is
 * changed.
 */
int steer_attach(const char *interface, enum steer_attach_mode mode, struct fault *fault);

/* Takes the program and its tables away. Refuses while steered connections live, unless force. */
int steer_detach(const char *interface, bool force, struct fault *fault);

/* Puts the set's rules for the interface in force (set NULL: none). It must be attached. Live connections stay. */
int steer_apply(const char *interface, const struct policy_set *set, struct fault *fault);

/* This machine's addresses again: they changed. */
int steer_refresh(const char *interface, struct fault *fault);

/* docs/steering.md documents the shape. interface NULL: all that have tables. NULL on failure. */
json_t *steer_status(const char *interface, struct fault *fault);

/* The cheap part of the status, for metrics. */
struct steer_counters {
	char interface[IF_NAMESIZE];
	bool attached;
	uint32_t queues, consumers; /* receive queues, and how many of them have a socket */
	uint64_t packets[STEER_VERDICT_MAX];
};
/* Fills at most max of them, one per interface of this network namespace that has tables; how many. */
size_t steer_counters(struct steer_counters *list, size_t max);
extern const char *const steer_verdict_names[STEER_VERDICT_MAX];

/* Which queues of the interface, whose tables are open, have a socket; 0 or -1. */
struct steer_tables;
int steer_seats(const char *interface, const struct steer_tables *tables, bool taken[STEER_QUEUES_MAX]);

/* Writes the program's object file, for xdp_prog=. */
int steer_export(const char *path, struct fault *fault);
