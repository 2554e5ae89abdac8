/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The table of services that `autocork status` shows. */
#pragma once
#include <jansson.h>
#include <stdio.h>

#include "cli/cli.h"
#include "lib/table.h"

/* The members of a service that the table shows. */
json_t *services_fields(void);
/* One line per service, busiest first. */
void services_print(FILE *out, const struct cli *cli, const json_t *services);
/* Its cell "TIME SAVED", an estimate; nothing where nothing waited. */
void services_saved_time(struct table *table, json_int_t us);
