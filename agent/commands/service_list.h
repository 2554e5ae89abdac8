/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The agent's services as its control socket tells them, cgroups added up: for the commands that watch them over time.
 */
#pragma once
#include <jansson.h>

#include "cli/cli.h"
#include "lib/fault.h"
#include "telemetry/advice.h"

struct listed_service {
	uint16_t port;
	uint8_t side;  /* enum ac_side */
	bool overflow; /* flows that found no service of their own */
	char program[64];
	struct advice_counts counts;
	uint64_t flows, managed; /* open now */
	uint64_t hold_us, releases;
};

struct service_list {
	struct listed_service *services; /* sorted by port, side, program */
	size_t count;
	double time; /* CLOCK_MONOTONIC, seconds, when it was asked for */
};

/* `exact_s`: so long from now on the agent counts all flows, whatever its budget. */
int service_list_fetch(const char *control, double exact_s, struct service_list *list, struct fault *fault);
/* What happens in the next so many seconds; *passed is how many those were. */
int service_list_change(const struct cli *cli, double seconds, struct service_list *list, double *passed,
			struct fault *fault);
void service_list_free(struct service_list *list);
/* The same service in another list, NULL if it is not there. */
const struct listed_service *service_list_find(const struct service_list *list, const struct listed_service *service);
const char *service_side_name(uint8_t side);
