/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What the web page polls: totals, services and advice as one JSON object (docs/schema/overview.json). Pure. */
#pragma once
#include <jansson.h>

#include "telemetry/history.h"
#include "telemetry/snapshot.h"

#define OVERVIEW_SERVICES 100 /* the busiest; the rest is in the totals */

/* Merges snapshot->services. NULL without memory. */
json_t *overview_json(struct telemetry_snapshot *snapshot, const struct history *history, double now, const char *mode);
