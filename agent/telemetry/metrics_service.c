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
	size_t field;			/* counter, or the histogram's buckets */
	size_t sum;			/* histogram: the field that adds up what its buckets count */
	const char *const *reasons;	/* the field is an array by reason */
	uint8_t reason_first, reason_end;
	struct buckets few, all;	/* histogram; `few` where there is no room for all, step 0: it has no few */
	bool open_flows;		/* no field: those opened less those closed */
	double scale;
};

#define STAT(name) offsetof(struct ac_service_stats, name)

#define COUNT(name, stat, unit, help) { name, COUNTER, unit, help, .field = STAT(stat) }
/* Counted in microseconds. */
#define TIME(name, stat, help) { name, COUNTER, "seconds", help, .field = STAT(stat), .scale = 1e-6 }

/*
 * In the order of what they are worth: a service has series of its own for the first of them, as far as [agent] series
 * allows, and the rest is added up for the host. What docs/alerts.yml and docs/grafana.json ask of a service is
 * within METRICS_SERIES_DEFAULT (test_metrics).
 */
static const struct service_metric service_metrics[] = {
	COUNT("held_writes", held, "",
	      "Packets saved: writes held, but for those that Nagle's algorithm would have joined with others anyway."),
	TIME("avoidable_stall_seconds", shadow_stall_us,
	     "Part of stall_seconds that holding the previous write would have avoided."),
	COUNT("writes", writes, "", "Calls that queued data: write, send, sendmsg, writev and their like."),
	COUNT("bursts", bursts, "", "Messages written: runs of writes that belong together."),
	COUNT("misses", misses, "", "Messages held too long: they ended while something of them was held."),
	COUNT("holds_late", holds_late, "", "Holds that ended more than 1 ms after their max_hold."),
	{ "flows", GAUGE, "", "TCP flows open now.", .open_flows = true },
	COUNT("flows_managed", flows_managed, "", "Flows that came under management."),
	COUNT("shadow_held_writes", shadow_held, "", "Writes that would have been held, on flows that are not managed."),
	COUNT("shadow_merged_writes", shadow_merged, "",
	      "Of these, writes that Nagle's algorithm would have merged anyway."),
	COUNT("shadow_misses", shadow_misses, "", "Messages that would have been held too long, on flows that are not managed."),
	COUNT("sent_segments", segments, "", "Data segments sent."),
	{ "hold_seconds", HISTOGRAM, "seconds",
	  "Added delay of a message: from its first held write to the release.", .field = STAT(hold_time),
	  .sum = STAT(hold_us), .few = { 15, 31, 4 }, .all = { 7, 37, 2 }, .scale = 1e-6 },
	{ "flows_refused", COUNTER, "", "Flows that a policy wants managed and that are left alone.",
	  .field = STAT(refused), .reasons = refusal_names, .reason_first = AC_REFUSAL_NONE + 1,
	  .reason_end = AC_REFUSAL_MAX },
	{ "releases", COUNTER, "", "Releases of held writes by reason.", .field = STAT(released),
	  .reasons = reason_names, .reason_end = AC_REASON_MAX },
	COUNT("stalls", stalls, "", "Times Nagle's algorithm kept a write until an ACK came, on flows that are not managed."),
	TIME("stall_seconds", stall_us, "Time that these writes waited."),
	COUNT("retransmits", retransmits, "", "Segments sent again."),
	COUNT("inferred_bursts", inferred_bursts, "",
	      "Of these, messages of flows outside the sample, inferred from the flows in it."),
	COUNT("flows_opened", flows_opened, "", "TCP flows seen for the first time."),
	COUNT("flows_closed", flows_closed, "", "TCP flows that ended."),
	COUNT("flows_passed", flows_passed, "",
	      "Connections deliberately not tracked (client with nothing to gain); excluded from all other metrics."),
	COUNT("flows_returned", flows_returned, "", "Flows that left management while still open."),
	COUNT("written_bytes", written_bytes, "bytes", "Bytes queued by these calls."),
	COUNT("small_writes", small_writes, "", "Calls that queued less than a full segment."),
	COUNT("reads", reads, "", "Calls that took data."),
	COUNT("read_bytes", read_bytes, "bytes", "Bytes taken by these calls."),
	COUNT("sent_packets", packets_out, "", "Segments sent, acknowledgements included."),
	COUNT("received_packets", packets_in, "", "Segments received, acknowledgements included."),
	COUNT("sent_bytes", sent_bytes, "bytes", "Payload of segments sent, retransmissions included."),
	COUNT("received_bytes", received_bytes, "bytes", "Payload received, each byte once."),
	TIME("rtt_seconds", rtt_us, "Smoothed round-trip times of flows that ended, added up."),
	COUNT("rtt_flows", rtts, "", "Flows whose round-trip time is in autocork_rtt_seconds_total."),
	{ "hold_lateness_seconds", HISTOGRAM, "seconds",
	  "How much later than its max_hold a hold ended that outlived it.", .field = STAT(lateness),
	  .sum = STAT(late_us), .all = { 13, 37, 4 }, .scale = 1e-6 },
	{ "burst_writes", HISTOGRAM, "",
	  "Writes in a message; the sum includes the writes of messages under way.", .field = STAT(burst_length),
	  .sum = STAT(writes), .all = { 1, 11, 1 }, .scale = 1 },
	{ "write_size_bytes", HISTOGRAM, "bytes", "Size of the writes that were observed.",
	  .field = STAT(write_size), .sum = STAT(sized_bytes), .all = { 7, 31, 2 },
	  .scale = 1 },
	COUNT("more_writes", more_writes, "", "Writes with MSG_MORE."),
	COUNT("spliced_bytes", spliced_bytes, "bytes", "Bytes queued by sendfile and splice, by reference."),
	COUNT("zerocopy_bytes", zerocopy_bytes, "bytes", "Bytes queued with MSG_ZEROCOPY."),
	COUNT("large_copied_bytes", large_copied_bytes, "bytes",
	      "Bytes copied by writes of at least 16 KiB: they could have been spliced."),
	COUNT("nodelay_calls", option_calls[AC_OPTION_NODELAY], "", "Calls of setsockopt(TCP_NODELAY)."),
	COUNT("nodelay_idle_calls", option_idle[AC_OPTION_NODELAY], "", "Of these, calls that changed nothing."),
	COUNT("cork_calls", option_calls[AC_OPTION_CORK], "", "Calls of setsockopt(TCP_CORK)."),
	COUNT("cork_idle_calls", option_idle[AC_OPTION_CORK], "", "Of these, calls that changed nothing."),
	COUNT("sent_small_packets", small_out, "",
	      "Segments sent with a payload of 1 to 127 bytes; counted only with small_packets = yes."),
	COUNT("received_small_packets", small_in, "", "Segments received with a payload of 1 to 127 bytes; the same."),
};

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
		uint64_t value = metric->open_flows ? open_flows(subject->stats) :
						      field_of(subject->stats, metric->field, i);

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
		      m->reasons ? SERVICE_LABELS ",reason" : SERVICE_LABELS, m->help }, context);
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
