/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Which services get series of their own: first come, busiest first, for as long as they exist. Pure. */
#pragma once
#include "telemetry/snapshot.h"

struct series;

/* At most so many services get series of their own. */
struct series *series_new(unsigned places);
void series_free(struct series *series);

/* Adds b to a, field by field. */
void service_stats_add(struct ac_service_stats *a, const struct ac_service_stats *b);
/* Sorts by label set and adds up services that share one, e.g. cgroups of the same name. Returns how many are left. */
size_t services_merge(struct telemetry_service *services, size_t count);

/*
 * own[i] says whether services[i] has series of its own. The services must be merged. Places of services that are no
 * longer among them become free. Returns -1 without memory.
 */
int series_assign(struct series *series, const struct telemetry_service *services, size_t count, bool *own);
