/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/names.h"
#include "telemetry/page.h"
#include "telemetry/series.h"

#define SERVICE_LABELS "port,side,comm,unit"

/* Per service. Values are 64-bit fields of struct ac_service_stats, as counted or times `scale`. */
struct service_metric {
	const char *name;
	enum metric_kind kind;
	enum series_part part;
	const char *unit;
	const char *help;
	size_t field;			/* counter, or the histogram's buckets */
	size_t sum;			/* histogram: the field that adds up what its buckets count */
	const char *const *reasons;	/* the field is an array by reason */
	uint8_t reason_first, reason_end;
	uint8_t bucket_first, bucket_last, bucket_step; /* histogram: buckets whose tops become `le` */
	double scale;
};

#define STAT(name) offsetof(struct ac_service_stats, name)

#define BASIC(name, stat, unit, help) { name, COUNTER, SERIES_BASIC, unit, help, .field = STAT(stat) }
/* Counted in microseconds. */
#define TIME(name, stat, help) { name, COUNTER, SERIES_BASIC, "seconds", help, .field = STAT(stat), .scale = 1e-6 }

static const struct service_metric service_metrics[] = {
	BASIC("flows_opened", flows_opened, "", "TCP flows seen for the first time."),
	BASIC("flows_closed", flows_closed, "", "TCP flows that ended."),
	BASIC("flows_passed", flows_passed, "",
	      "Connections deliberately not tracked (client with nothing to gain); excluded from all other metrics."),
	BASIC("flows_managed", flows_managed, "", "Flows put on a wrapper."),
	BASIC("flows_returned", flows_returned, "", "Flows taken off the wrapper while still open."),
	BASIC("writes", writes, "", "Calls that queued data: write, send, sendmsg, writev and their like."),
	BASIC("written_bytes", written_bytes, "bytes", "Bytes queued by these calls."),
	BASIC("small_writes", small_writes, "", "Calls that queued less than a full segment."),
	BASIC("reads", reads, "", "Calls that took data."),
	BASIC("read_bytes", read_bytes, "bytes", "Bytes taken by these calls."),
	BASIC("bursts", bursts, "", "Bursts of writes that ended."),
	BASIC("inferred_bursts", inferred_bursts, "",
	      "Of these, bursts of flows that are not looked at, inferred from those that are."),
	BASIC("held_writes", held, "",
	      "Packets saved: writes held, but for those that Nagle's algorithm would have joined with others anyway."),
	BASIC("misses", misses, "", "Bursts that ended while something was held."),
	BASIC("holds_late", holds_late, "", "Holds that ended more than 1 ms after their max_hold."),
	BASIC("shadow_held_writes", shadow_held, "", "Writes that would have been held on flows in shadow."),
	BASIC("shadow_misses", shadow_misses, "", "Misses that flows in shadow would have suffered."),
	BASIC("shadow_merged_writes", shadow_merged, "",
	      "Shadow-held writes that Nagle's algorithm would have merged anyway."),
	BASIC("stalls", stalls, "", "Times Nagle's algorithm kept a write until an ACK came, on flows in shadow."),
	TIME("stall_seconds", stall_us, "Time that these writes waited."),
	TIME("avoidable_stall_seconds", shadow_stall_us,
	     "Part of stall_seconds that holding the previous write would have avoided."),
	BASIC("sent_segments", segments, "", "Data segments sent."),
	BASIC("retransmits", retransmits, "", "Segments sent again."),
	BASIC("sent_packets", packets_out, "", "Segments sent, acknowledgements included."),
	BASIC("received_packets", packets_in, "", "Segments received, acknowledgements included."),
	BASIC("sent_bytes", sent_bytes, "bytes", "Payload of segments sent, retransmissions included."),
	BASIC("received_bytes", received_bytes, "bytes", "Payload received, each byte once."),
	BASIC("sent_small_packets", small_out, "",
	      "Segments sent with a payload of 1 to 127 bytes; counted only with small_packets = yes."),
	BASIC("received_small_packets", small_in, "", "Segments received with a payload of 1 to 127 bytes; the same."),
	TIME("rtt_seconds", rtt_us, "Smoothed round-trip times of flows that ended, added up."),
	BASIC("rtt_flows", rtts, "", "Flows whose round-trip time is in autocork_rtt_seconds_total."),
	BASIC("more_writes", more_writes, "", "Writes with MSG_MORE."),
	BASIC("spliced_bytes", spliced_bytes, "bytes", "Bytes queued by sendfile and splice, by reference."),
	BASIC("zerocopy_bytes", zerocopy_bytes, "bytes", "Bytes queued with MSG_ZEROCOPY."),
	BASIC("large_copied_bytes", large_copied_bytes, "bytes",
	      "Bytes copied by writes of at least 16 KiB: they could have been spliced."),
	BASIC("nodelay_calls", option_calls[AC_OPTION_NODELAY], "", "Calls of setsockopt(TCP_NODELAY)."),
	BASIC("nodelay_idle_calls", option_idle[AC_OPTION_NODELAY], "", "Of these, calls that changed nothing."),
	BASIC("cork_calls", option_calls[AC_OPTION_CORK], "", "Calls of setsockopt(TCP_CORK)."),
	BASIC("cork_idle_calls", option_idle[AC_OPTION_CORK], "", "Of these, calls that changed nothing."),
	{ "releases", COUNTER, SERIES_DETAIL, "", "Releases of held writes by reason.", .field = STAT(released),
	  .reasons = reason_names, .reason_end = AC_REASON_MAX },
	{ "flows_refused", COUNTER, SERIES_DETAIL, "", "Flows that a policy wants managed and that are left alone.",
	  .field = STAT(refused), .reasons = refusal_names, .reason_first = AC_REFUSAL_NONE + 1,
	  .reason_end = AC_REFUSAL_MAX },
	{ "write_size_bytes", HISTOGRAM, SERIES_DETAIL, "bytes", "Size of writes that the observer saw.",
	  .field = STAT(write_size), .sum = STAT(sized_bytes), .bucket_first = 7, .bucket_last = 31, .bucket_step = 2,
	  .scale = 1 },
	{ "burst_writes", HISTOGRAM, SERIES_DETAIL, "",
	  "Writes in a burst; the sum includes the writes of bursts under way.", .field = STAT(burst_length),
	  .sum = STAT(writes), .bucket_first = 1, .bucket_last = 11, .bucket_step = 1, .scale = 1 },
	{ "hold_seconds", HISTOGRAM, SERIES_DETAIL, "seconds",
	  "Delay added to a burst: from its first held write to the release.", .field = STAT(hold_time),
	  .sum = STAT(hold_us), .bucket_first = 7, .bucket_last = 37, .bucket_step = 2, .scale = 1e-6 },
	{ "hold_lateness_seconds", HISTOGRAM, SERIES_DETAIL, "seconds",
	  "How much later than its max_hold a hold ended that outlived it.", .field = STAT(lateness),
	  .sum = STAT(late_us), .bucket_first = 13, .bucket_last = 37, .bucket_step = 4, .scale = 1e-6 },
};

struct metrics {
	struct series *series;
	unsigned limit;
};

/* What stands behind "other", for each part. */
struct rest {
	struct ac_service_stats stats;
	size_t services;
};

static unsigned series_of(const struct service_metric *metric)
{
	if (metric->kind == HISTOGRAM) /* + le="+Inf", _sum, _count */
		return (metric->bucket_last - metric->bucket_first) / metric->bucket_step + 1 + 3;
	return metric->reasons ? metric->reason_end - metric->reason_first : 1;
}

struct metrics *metrics_new(unsigned series_limit)
{
	struct metrics *metrics = calloc(1, sizeof(*metrics));
	unsigned each[SERIES_PARTS] = { [SERIES_BASIC] = 1 /* autocork_flows */ }, places[SERIES_PARTS], room;

	if (!metrics)
		return NULL;
	metrics->limit = series_limit < METRICS_SERIES_MIN ? METRICS_SERIES_MIN : series_limit;
	for (size_t i = 0; i < AC_ARRAY_SIZE(service_metrics); i++)
		each[service_metrics[i].part] += series_of(&service_metrics[i]);
	room = metrics->limit - AGENT_SERIES;
	/* Plain counters of many services are worth more than histograms of a few. One place of each is "other"'s. */
	places[SERIES_BASIC] = room * 3 / 5 / each[SERIES_BASIC] - 1;
	places[SERIES_DETAIL] = room * 2 / 5 / each[SERIES_DETAIL] - 1;
	metrics->series = series_new(places);
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

/* NULL is the rest. */
static void page_service(struct page *page, const struct telemetry_service *service)
{
	char port[8];

	if (!service) {
		fputs("port=\"other\",side=\"other\",comm=\"other\",unit=\"other\"", page->out);
		return;
	}
	snprintf(port, sizeof(port), "%u", service->port);
	page_label(page, "port", port, true);
	page_label(page, "side", service->side < AC_SIDE_MAX ? side_names[service->side] : "any", false);
	page_label(page, "comm", service->comm, false);
	page_label(page, "unit", service->unit, false);
}

static uint64_t field_of(const struct ac_service_stats *stats, size_t offset, size_t index)
{
	return ((const uint64_t *)((const char *)stats + offset))[index];
}

static void page_counters(struct page *page, const struct service_metric *metric,
			  const struct telemetry_service *service, const struct ac_service_stats *stats)
{
	unsigned first = metric->reasons ? metric->reason_first : 0, end = metric->reasons ? metric->reason_end : 1;

	for (unsigned i = first; i < end; i++) {
		fprintf(page->out, PREFIX "%s_total{", metric->name);
		page_service(page, service);
		if (metric->reasons)
			page_label(page, "reason", metric->reasons[i], false);
		if (metric->scale)
			fprintf(page->out, "} %.15g\n", field_of(stats, metric->field, i) * metric->scale);
		else
			fprintf(page->out, "} %" PRIu64 "\n", field_of(stats, metric->field, i));
		page->series++;
	}
}

static void page_histogram(struct page *page, const struct service_metric *metric,
			   const struct telemetry_service *service, const struct ac_service_stats *stats)
{
	uint64_t count = 0;
	unsigned next = metric->bucket_first;

	for (unsigned bucket = 0; bucket < AC_BUCKETS; bucket++) {
		count += field_of(stats, metric->field, bucket);
		if (bucket != next || next > metric->bucket_last)
			continue;
		next += metric->bucket_step;
		fprintf(page->out, PREFIX "%s_bucket{", metric->name);
		page_service(page, service);
		/* OpenMetrics wants a float where the older format takes any number. */
		fprintf(page->out, ",le=\"%.9g%s\"} %" PRIu64 "\n", ac_bucket_top(bucket) * metric->scale,
			metric->scale == 1 ? ".0" : "", count);
		page->series++;
	}
	fprintf(page->out, PREFIX "%s_bucket{", metric->name);
	page_service(page, service);
	fprintf(page->out, ",le=\"+Inf\"} %" PRIu64 "\n" PREFIX "%s_sum{", count, metric->name);
	page_service(page, service);
	fprintf(page->out, "} %.15g\n" PREFIX "%s_count{", field_of(stats, metric->sum, 0) * metric->scale,
		metric->name);
	page_service(page, service);
	fprintf(page->out, "} %" PRIu64 "\n", count);
	page->series += 3;
}

static void page_services(struct page *page, const struct telemetry_snapshot *snapshot, const uint8_t *own,
			  const struct rest rest[SERIES_PARTS])
{
	for (size_t m = 0; m < AC_ARRAY_SIZE(service_metrics); m++) {
		const struct service_metric *metric = &service_metrics[m];
		void (*print)(struct page *, const struct service_metric *, const struct telemetry_service *,
			      const struct ac_service_stats *) =
			metric->kind == HISTOGRAM ? page_histogram : page_counters;

		page_head(page, metric->name, metric->kind, metric->unit, metric->help);
		for (size_t i = 0; i < snapshot->service_count; i++)
			if (own[i] >> metric->part & 1)
				print(page, metric, &snapshot->services[i], &snapshot->services[i].stats);
		if (rest[metric->part].services)
			print(page, metric, NULL, &rest[metric->part].stats);
	}
}

/* Counters of different CPUs are not read at the same instant, so a flow may seem closed before it was opened. */
static uint64_t live_flows(const struct ac_service_stats *stats)
{
	return stats->flows_opened > stats->flows_closed ? stats->flows_opened - stats->flows_closed : 0;
}

#define FLOWS_HELP "TCP flows open now."

static void page_flows(struct page *page, const struct telemetry_snapshot *snapshot, const uint8_t *own,
		       const struct rest *rest)
{
	page_head(page, "flows", GAUGE, "", FLOWS_HELP);
	for (size_t i = 0; i <= snapshot->service_count; i++) {
		bool last = i == snapshot->service_count;

		if (last ? !rest->services : !(own[i] >> SERIES_BASIC & 1))
			continue;
		fputs(PREFIX "flows{", page->out);
		page_service(page, last ? NULL : &snapshot->services[i]);
		fprintf(page->out, "} %" PRIu64 "\n", live_flows(last ? &rest->stats : &snapshot->services[i].stats));
		page->series++;
	}
}

static void page_cap(struct page *page, unsigned limit, const struct rest rest[SERIES_PARTS])
{
	page_head(page, "series_limit", GAUGE, "", "Most series that a page may have.");
	fprintf(page->out, PREFIX "series_limit %u\n", limit);
	page_head(page, "services_in_other", GAUGE, "", "Services without series of their own, by part of the page.");
	fprintf(page->out,
		PREFIX "services_in_other{part=\"basic\"} %zu\n" PREFIX "services_in_other{part=\"detail\"} %zu\n",
		rest[SERIES_BASIC].services, rest[SERIES_DETAIL].services);
	page->series += 3;
}

int metrics_write(struct metrics *metrics, struct telemetry_snapshot *snapshot, enum metrics_format format, FILE *out)
{
	struct page page = { .out = out, .format = format };
	struct rest *rest = calloc(SERIES_PARTS, sizeof(*rest));
	uint8_t *own;

	snapshot->service_count = services_merge(snapshot->services, snapshot->service_count);
	own = calloc(snapshot->service_count + 1, 1);
	if (!rest || !own || series_assign(metrics->series, snapshot->services, snapshot->service_count, own)) {
		free(rest);
		free(own);
		return -1;
	}
	for (size_t i = 0; i < snapshot->service_count; i++) {
		for (int part = 0; part < SERIES_PARTS; part++) {
			if (own[i] >> part & 1)
				continue;
			service_stats_add(&rest[part].stats, &snapshot->services[i].stats);
			rest[part].services++;
		}
	}
	page_services(&page, snapshot, own, rest);
	page_flows(&page, snapshot, own, &rest[SERIES_BASIC]);
	page_agent(&page, snapshot);
	page_fastpath(&page, snapshot);
	page_steer(&page, snapshot);
	page_endpoint(&page, snapshot);
	page_cap(&page, metrics->limit, rest);
	if (format == METRICS_OPENMETRICS)
		fputs("# EOF\n", out);
	free(rest);
	free(own);
	return page.series;
}

void metrics_families(void (*visit)(const struct metrics_family *family, void *context), void *context)
{
	static const struct metrics_family others[] = {
		{ "flows", "gauge", "", SERVICE_LABELS, FLOWS_HELP },
		{ "series_limit", "gauge", "", "", "Most series that a page may have." },
		{ "services_in_other", "gauge", "", "part",
		  "Services without series of their own, by part of the page." },
	};

	for (size_t i = 0; i < AC_ARRAY_SIZE(service_metrics); i++) {
		const struct service_metric *m = &service_metrics[i];

		visit(&(struct metrics_family){ m->name, metric_kind_name(m->kind), m->unit,
		      m->reasons ? SERVICE_LABELS ",reason" : SERVICE_LABELS, m->help }, context);
	}
	agent_families(visit, context);
	fastpath_families(visit, context);
	steer_families(visit, context);
	endpoint_families(visit, context);
	for (size_t i = 0; i < AC_ARRAY_SIZE(others); i++)
		visit(&others[i], context);
}
