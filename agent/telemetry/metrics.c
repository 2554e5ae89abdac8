/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include <stdlib.h>

#include "telemetry/metrics_service.h"
#include "telemetry/series.h"

struct metrics {
	struct series *series;
	struct service_plan plan;
	unsigned limit;
};

struct metrics *metrics_new(unsigned per_service)
{
	struct metrics *metrics = calloc(1, sizeof(*metrics));

	if (!metrics)
		return NULL;
	metrics->plan = service_plan_make(per_service);
	/* One more than the services that have series of their own: "other". */
	metrics->limit = AGENT_SERIES + metrics->plan.host + (METRICS_SERVICES + 1) * metrics->plan.own;
	metrics->series = series_new(metrics->plan.own ? METRICS_SERVICES : 0);
	if (!metrics->series) {
		free(metrics);
		return NULL;
	}
	return metrics;
}

void metrics_free(struct metrics *metrics)
{
	if (metrics)
		series_free(metrics->series);
	free(metrics);
}

size_t metrics_added_up(const struct metrics *metrics)
{
	return metrics->plan.host_metrics;
}

/* What the page does not say, one value each. */
static const struct {
	const char *name, *help;
} limits[] = {
	{ "series_limit", "Largest number of series that a page may have." },
	{ "series_per_service", "Series exported for each service that has its own." },
	{ "services_in_other", "Services without series of their own." },
	{ "metrics_added_up",
	  "Per-service metrics that are exported only as a sum for the host, because of [agent] series." },
};

static void page_limits(struct page *page, const struct metrics *metrics, size_t services_in_other)
{
	const size_t values[AC_ARRAY_SIZE(limits)] = { metrics->limit, metrics->plan.own, services_in_other,
						       metrics->plan.host_metrics };

	for (size_t i = 0; i < AC_ARRAY_SIZE(limits); i++) {
		page_head(page, limits[i].name, GAUGE, "", limits[i].help);
		fprintf(page->out, PREFIX "%s %zu\n", limits[i].name, values[i]);
		page->series++;
	}
}

int metrics_write(struct metrics *metrics, struct telemetry_snapshot *snapshot, enum metrics_format format, FILE *out)
{
	struct page page = { .out = out, .format = format };
	struct service_sums *sums = calloc(1, sizeof(*sums));
	bool *own;

	snapshot->service_count = services_merge(snapshot->services, snapshot->service_count);
	own = calloc(snapshot->service_count + 1, sizeof(*own));
	if (!sums || !own || series_assign(metrics->series, snapshot->services, snapshot->service_count, own)) {
		free(sums);
		free(own);
		return -1;
	}
	for (size_t i = 0; i < snapshot->service_count; i++) {
		service_stats_add(&sums->host, &snapshot->services[i].stats);
		if (own[i])
			continue;
		service_stats_add(&sums->rest, &snapshot->services[i].stats);
		sums->services_in_rest++;
	}
	page_services(&page, snapshot, &metrics->plan, own, sums);
	page_agent(&page, snapshot);
	page_fastpath(&page, snapshot);
	page_steer(&page, snapshot);
	page_endpoint(&page, snapshot);
	page_limits(&page, metrics, sums->services_in_rest);
	if (format == METRICS_OPENMETRICS)
		fputs("# EOF\n", out);
	free(sums);
	free(own);
	return page.series;
}

void metrics_families(void (*visit)(const struct metrics_family *family, void *context), void *context)
{
	service_families(visit, context);
	agent_families(visit, context);
	fastpath_families(visit, context);
	steer_families(visit, context);
	endpoint_families(visit, context);
	for (size_t i = 0; i < AC_ARRAY_SIZE(limits); i++)
		visit(&(struct metrics_family){ limits[i].name, "gauge", "", "", limits[i].help }, context);
}
