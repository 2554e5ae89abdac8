/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Metrics that come per service, as far as there is room, else added up for the host. Pure. */
#pragma once
#include "telemetry/page.h"

/* What `series` series per service are spent on. */
struct service_plan {
	size_t metrics;	     /* the first so many come per service, the rest for the host */
	size_t host_metrics; /* that rest */
	bool few;	     /* the last of those per service is a histogram with fewer buckets */
	unsigned own;	     /* series of one service */
	unsigned host;	     /* series of the host */
};
struct service_plan service_plan_make(unsigned series);

struct service_sums {
	struct ac_service_stats host; /* all services */
	struct ac_service_stats rest; /* those without series of their own */
	size_t services_in_rest;
};

/* own[i]: snapshot->services[i] has series of its own. */
void page_services(struct page *page, const struct telemetry_snapshot *snapshot, const struct service_plan *plan,
		   const bool *own, const struct service_sums *sums);
void service_families(void (*visit)(const struct metrics_family *family, void *context), void *context);
