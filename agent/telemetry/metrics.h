/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The metrics page: one table of metrics, written as OpenMetrics or as the older Prometheus text format. Pure: no
 * kernel, no clock. */
#pragma once
#include <stdio.h>

#include "telemetry/snapshot.h"

#define METRICS_SERIES_DEFAULT 20 /* of one service: [agent] series in policy/keys.c */
#define METRICS_SERVICES 60	  /* that have series of their own */

enum metrics_format { METRICS_TEXT, METRICS_OPENMETRICS };

/*
 * Which services have series of their own. A service that got them keeps them while it exists, so that no counter ever
 * falls; all the others are added up in series labelled "other". Metrics for which `per_service` series leave no room
 * are added up for the host, without the labels of a service. Sums over a metric are therefore always right.
 */
struct metrics;

struct metrics *metrics_new(unsigned per_service);
/* How many metrics are added up for the host. */
size_t metrics_added_up(const struct metrics *metrics);
void metrics_free(struct metrics *metrics);

/* Writes the page. Sorts snapshot->services and adds up those with equal labels. Returns the number of series, -1
 * without memory. */
int metrics_write(struct metrics *metrics, struct telemetry_snapshot *snapshot, enum metrics_format format, FILE *out);

/* By the request's Accept header (NULL: none was sent). */
enum metrics_format metrics_format_accepted(const char *accept);
const char *metrics_content_type(enum metrics_format format);

/* Visits every metric that a page can have, for the documentation's test and `autocork metrics`. */
struct metrics_family {
	const char *name;   /* without the prefix autocork_ and without _total, _info */
	const char *type;   /* counter, gauge, histogram, info */
	const char *unit;   /* "seconds", "bytes" or "" */
	const char *labels; /* comma-separated */
	const char *help;
};
void metrics_families(void (*visit)(const struct metrics_family *family, void *context), void *context);

/* What a metric takes of a service's series. */
struct metrics_share {
	unsigned all, few; /* with all buckets, with few; 0: it does not come per service, there are no few */
	bool by_default;   /* with METRICS_SERIES_DEFAULT there is room for it */
};
struct metrics_share metrics_share(const char *family);
