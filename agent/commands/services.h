/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Showing what the agent's "services" members hold; shared by status, services and the live table. */
#pragma once
#include <jansson.h>
#include <stdio.h>

#include "cli/cli.h"

/* One line per service, busiest first. */
void services_print(FILE *out, const struct cli *cli, const json_t *services);
/* "no_gain 12, mptcp 1": the members of an object of counters that are not 0, biggest first; "" if all are. */
void counters_text(const json_t *counters, char *text, size_t size);
