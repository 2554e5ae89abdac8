/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The tables of one interface's steering program, opened from their pins: rules go in, counters come out. */
#pragma once
#include <stdint.h>

#include "lib/fault.h"
#include "steer/steer_plan.h"

/* X(name): the maps of bpf/steer.bpf.c */
/* clang-format off */
#define STEER_TABLES(X)                                                                                          \
	X(steer_control) X(steer_ports) X(steer_peers) X(steer_locals) X(steer_rules) X(steer_syns)              \
	X(steer_silent) X(steer_flows) X(steer_closed) X(steer_counts) X(steer_hits) X(steer_events)             \
	X(steer_listeners) X(steer_doors) X(steer_last) X(steer_seats) X(xsks_map)
/* clang-format on */

struct steer_tables {
#define X(name) int name;
	STEER_TABLES(X)
#undef X
	bool elsewhere; /* opening failed because they belong to an interface of another network namespace */
};

/* -1 if the interface is not attached: EXIT_FAILED with a next step. */
int tables_open(struct steer_tables *tables, const char *interface, struct fault *fault);
void tables_close(struct steer_tables *tables);

/*
 * Puts the plan in force in one step: packets see the old rules or the new ones. Flows that were steered stay steered,
 * their rules drain. On failure the old rules stay.
 */
int tables_apply(struct steer_tables *tables, const struct steer_plan *plan, struct fault *fault);

/* All elements of an array map, in one call; freed by the caller. NULL with errno on failure. */
void *tables_read_array(int map, uint32_t count, size_t size);
/* This thread's network namespace, as an inode number. */
uint64_t tables_namespace(void);
/* Marks tables as those of an interface in this network namespace. */
int tables_claim(int steer_control, int ifindex, int xsks_map);
/* Whose they are: the number of the interface, 0 if it belongs to another network namespace or they cannot be read. */
int tables_owner(int steer_control);

/* What tables_tidy() found. */
struct steer_load {
	uint32_t flows; /* open */
	uint32_t half_open;
	uint32_t closing;     /* FIN or RST seen, and not silent for long yet */
	uint32_t draining;    /* rules that no policy asks for any more, but flows still use */
	uint32_t active;      /* rules in force */
	uint32_t *rule_flows; /* per rule, STEER_RULES_MAX; freed by the caller if not NULL */
};
/* Forgets idle flows, frees the rules and ports that drained, counts. */
int tables_tidy(struct steer_tables *tables, struct steer_load *load, struct fault *fault);
/*
 * Forgets all flows of rules for endpoints: no queue of the interface has a program any more, so that the kernel
 * answers what still comes on them.
 */
void tables_forget_endpoints(const struct steer_tables *tables);
