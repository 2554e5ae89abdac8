/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The metrics that come per service: which of them there is room for, and how they are written. */
#include <inttypes.h>
#include <string.h>

#include "lib/names.h"
#include "telemetry/metrics_service.h"

#define SERVICE_LABELS "port,side,comm,unit,container"

/* Buckets of a histogram whose tops become `le`. */
struct buckets {
	uint8_t first, last, step;
};

/* Values are 64-bit fields of struct ac_service_stats, as counted or times `scale`. */
struct service_metric {
	const char *name;
	enum metric_kind kind;
	const char *unit;
	const char *help;
	size_t field;		    /* counter, or the histogram's buckets */
	size_t sum;		    /* histogram: the field that adds up what its buckets count */
	const char *const *reasons; /* the field is an array by reason */
	uint8_t reason_first, reason_end;
	struct buckets few, all; /* histogram; `few` where there is no room for all, step 0: it has no few */
	bool open_flows;	 /* no field: those opened less those closed */
	double scale;
};

#define STAT(name) offsetof(struct ac_service_stats, name)
/* clang-format off */
#define BUCKETS(first, last, step) { first, last, step }
/* clang-format on */

#define ROW(kind, ...) ROW_##kind(__VA_ARGS__)
#define ROW_COUNT(stat, metric, unit, help) { metric, COUNTER, unit, help, .field = STAT(stat) },
#define ROW_TIME(stat, metric, help) { metric, COUNTER, "seconds", help, .field = STAT(stat), .scale = 1e-6 },
#define ROW_SUM(...)
#define ROW_OPEN(metric, opened, closed, help) { #metric, GAUGE, "", help, .open_flows = true },
#define ROW_BY(stat, names, first, end, metric, help) \
	{ metric, COUNTER, "", help, .field = STAT(stat), .reasons = names, .reason_first = first, .reason_end = end },
#define ROW_LIST(...)
#define ROW_PART(stat, index, metric, help) { metric, COUNTER, "", help, .field = STAT(stat[index]) },
/* clang-format off */
#define ROW_SPREAD(stat, member, total, metric, unit, help, some, every, factor) \
	{ metric, HISTOGRAM, unit, help, .field = STAT(stat), .sum = STAT(total), .few = BUCKETS some, \
	  .all = BUCKETS every, .scale = factor },
/* clang-format on */

static const struct service_metric service_metrics[] = { AC_COUNTERS(ROW) };

static unsigned bucket_series(const struct buckets *buckets)
{
	return (buckets->last - buckets->first) / buckets->step + 1 + 3; /* le="+Inf", _sum, _count */
}

static unsigned series_of(const struct service_metric *metric)
{
	if (metric->kind == HISTOGRAM)
		return bucket_series(&metric->all);
	return metric->reasons ? metric->reason_end - metric->reason_first : 1;
}

struct service_plan service_plan_make(unsigned series)
{
	struct service_plan plan = { 0 };

	for (size_t i = 0; i < AC_ARRAY_SIZE(service_metrics); i++) {
		const struct service_metric *metric = &service_metrics[i];
		unsigned room = series - plan.own;

		plan.few = metric->few.step && series_of(metric) > room;
		if ((plan.few ? bucket_series(&metric->few) : series_of(metric)) > room) {
			plan.few = false;
			break;
		}
		plan.own += plan.few ? bucket_series(&metric->few) : series_of(metric);
		plan.metrics++;
		if (plan.few) /* the rest of the room is less than this one asks for */
			break;
	}
	for (size_t i = plan.metrics; i < AC_ARRAY_SIZE(service_metrics); i++)
		plan.host += series_of(&service_metrics[i]);
	plan.host_metrics = AC_ARRAY_SIZE(service_metrics) - plan.metrics;
	return plan;
}

/* Whose values a sample has. */
struct subject {
	const struct telemetry_service *service; /* NULL: those without series of their own, or the host */
	const struct ac_service_stats *stats;
	bool host;
};

/* {port="80",…} with one label more unless its name is NULL. */
static void page_labels(struct page *page, const struct subject *subject, const char *name, const char *value)
{
	const struct telemetry_service *service = subject->service;
	char port[8];

	if (subject->host && !name)
		return;
	putc('{', page->out);
	if (service) {
		snprintf(port, sizeof(port), "%u", service->port);
		page_label(page, "port", port, true);
		page_label(page, "side", service->side < AC_SIDE_MAX ? side_names[service->side] : "any", false);
		page_label(page, "comm", service->comm, false);
		page_label(page, "unit", service->unit, false);
		if (*service->container) /* an empty label is none */
			page_label(page, "container", service->container, false);
	} else if (!subject->host) {
		fputs("port=\"other\",side=\"other\",comm=\"other\",unit=\"other\"", page->out);
	}
	if (name)
		page_label(page, name, value, subject->host);
	putc('}', page->out);
}

static uint64_t field_of(const struct ac_service_stats *stats, size_t offset, size_t index)
{
	return ((const uint64_t *)((const char *)stats + offset))[index];
}

/* Counters of different CPUs are not read at the same instant, so a flow may seem closed before it was opened. */
static uint64_t open_flows(const struct ac_service_stats *stats)
{
	return stats->flows_opened > stats->flows_closed ? stats->flows_opened - stats->flows_closed : 0;
}

static void page_values(struct page *page, const struct service_metric *metric, const struct subject *subject)
{
	unsigned first = metric->reasons ? metric->reason_first : 0, end = metric->reasons ? metric->reason_end : 1;

	for (unsigned i = first; i < end; i++) {
		uint64_t value =
			metric->open_flows ? open_flows(subject->stats) : field_of(subject->stats, metric->field, i);

		fprintf(page->out, PREFIX "%s%s", metric->name, metric_suffix(metric->kind));
		page_labels(page, subject, metric->reasons ? "reason" : NULL,
			    metric->reasons ? metric->reasons[i] : NULL);
		if (metric->scale)
			fprintf(page->out, " %.15g\n", value * metric->scale);
		else
			fprintf(page->out, " %" PRIu64 "\n", value);
		page->series++;
	}
}

static void page_bucket(struct page *page, const struct service_metric *metric, const struct subject *subject,
			const char *top, uint64_t count)
{
	fprintf(page->out, PREFIX "%s_bucket", metric->name);
	page_labels(page, subject, "le", top);
	fprintf(page->out, " %" PRIu64 "\n", count);
	page->series++;
}

static void page_histogram(struct page *page, const struct service_metric *metric, const struct subject *subject,
			   const struct buckets *buckets)
{
	uint64_t count = 0;
	unsigned next = buckets->first;
	char top[32];

	for (unsigned bucket = 0; bucket < AC_BUCKETS; bucket++) {
		count += field_of(subject->stats, metric->field, bucket);
		if (bucket != next || next > buckets->last)
			continue;
		next += buckets->step;
		/* OpenMetrics wants a float where the older format takes any number. */
		snprintf(top, sizeof(top), "%.9g%s", ac_bucket_top(bucket) * metric->scale,
			 metric->scale == 1 ? ".0" : "");
		page_bucket(page, metric, subject, top, count);
	}
	page_bucket(page, metric, subject, "+Inf", count);
	fprintf(page->out, PREFIX "%s_sum", metric->name);
	page_labels(page, subject, NULL, NULL);
	fprintf(page->out, " %.15g\n" PREFIX "%s_count", field_of(subject->stats, metric->sum, 0) * metric->scale,
		metric->name);
	page_labels(page, subject, NULL, NULL);
	fprintf(page->out, " %" PRIu64 "\n", count);
	page->series += 2;
}

static void page_metric(struct page *page, const struct service_metric *metric, const struct subject *subject, bool few)
{
	if (metric->kind == HISTOGRAM)
		page_histogram(page, metric, subject, few ? &metric->few : &metric->all);
	else
		page_values(page, metric, subject);
}

void page_services(struct page *page, const struct telemetry_snapshot *snapshot, const struct service_plan *plan,
		   const bool *own, const struct service_sums *sums)
{
	const struct subject host = { NULL, &sums->host, true }, rest = { NULL, &sums->rest, false };

	for (size_t m = 0; m < AC_ARRAY_SIZE(service_metrics); m++) {
		const struct service_metric *metric = &service_metrics[m];
		bool few = plan->few && m + 1 == plan->metrics;

		page_head(page, metric->name, metric->kind, metric->unit, metric->help);
		if (m >= plan->metrics) {
			page_metric(page, metric, &host, false);
			continue;
		}
		for (size_t i = 0; i < snapshot->service_count; i++) {
			const struct telemetry_service *service = &snapshot->services[i];
			const struct subject one = { service, &service->stats, false };

			if (own[i])
				page_metric(page, metric, &one, few);
		}
		if (sums->services_in_rest)
			page_metric(page, metric, &rest, few);
	}
}

void service_families(void (*visit)(const struct metrics_family *family, void *context), void *context)
{
	for (size_t i = 0; i < AC_ARRAY_SIZE(service_metrics); i++) {
		const struct service_metric *m = &service_metrics[i];

		visit(&(struct metrics_family){ m->name, metric_kind_name(m->kind), m->unit,
						m->reasons ? SERVICE_LABELS ",reason" : SERVICE_LABELS, m->help },
		      context);
	}
}

struct metrics_share metrics_share(const char *family)
{
	size_t by_default = service_plan_make(METRICS_SERIES_DEFAULT).metrics;

	for (size_t i = 0; i < AC_ARRAY_SIZE(service_metrics); i++) {
		const struct service_metric *m = &service_metrics[i];

		if (!strcmp(m->name, family))
			return (struct metrics_share){ series_of(m), m->few.step ? bucket_series(&m->few) : 0,
						       i < by_default };
	}
	return (struct metrics_share){ 0 };
}
