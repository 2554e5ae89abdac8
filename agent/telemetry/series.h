/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Which services get series of their own: first come, busiest first, for as long as they exist. Pure. */
#pragma once
#include "telemetry/snapshot.h"

/* What a service has series of its own for. The rest of it goes to "other". */
enum series_part {
	SERIES_BASIC,		/* the plain counters */
	SERIES_DETAIL,		/* by reason, and the histograms: many series each */
	SERIES_PARTS,
};

struct series;

/* At most places[part] services get series of their own for that part. */
struct series *series_new(const unsigned places[SERIES_PARTS]);
void series_free(struct series *series);

/* Adds b to a, field by field. */
void service_stats_add(struct ac_service_stats *a, const struct ac_service_stats *b);
/* Sorts by label set and adds up services that share one, e.g. cgroups of the same name. Returns how many are left. */
size_t services_merge(struct telemetry_service *services, size_t count);

/*
 * own[i] gets bit (1 << part) for each part for which services[i] has series of its own. The services must be merged.
 * Places of services that are no longer among them become free. Returns -1 without memory.
 */
int series_assign(struct series *series, const struct telemetry_service *services, size_t count, uint8_t *own);
