/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The metrics of steering: per interface, never per rule, of which there may be thousands (`autocork steer status` has
 * those). */
#include <inttypes.h>

#include "lib/text.h"
#include "telemetry/metrics.h"
#include "telemetry/page.h"

#define PACKETS_HELP "Packets by verdict: steered to an AF_XDP socket, passed to the kernel, or lost, with the reason."

static uint32_t is_attached(const struct steer_counters *counters)
{
	return counters->attached;
}

static uint32_t queue_count(const struct steer_counters *counters)
{
	return counters->queues;
}

static uint32_t consumer_count(const struct steer_counters *counters)
{
	return counters->consumers;
}

static const struct {
	const char *name;
	const char *help;
	uint32_t (*value)(const struct steer_counters *counters);
} gauges[] = {
	{ "steer_attached", "1 if the steering program is on the interface.", is_attached },
	{ "steer_queues", "Receive queues of the interface.", queue_count },
	{ "steer_consumers", "Receive queues with an AF_XDP socket that takes steered packets.", consumer_count },
};

static void sample(struct page *page, const char *name, const char *suffix, const char *interface, const char *verdict,
		   uint64_t value)
{
	char clean[IF_NAMESIZE * 4 + 1];

	fprintf(page->out, PREFIX "%s%s{", name, suffix);
	page_label(page, "interface", text_clean(clean, sizeof(clean), interface, IF_NAMESIZE), true);
	if (verdict)
		page_label(page, "verdict", verdict, false);
	fprintf(page->out, "} %" PRIu64 "\n", value);
	page->series++;
}

void page_steer(struct page *page, const struct telemetry_snapshot *snapshot)
{
	if (!snapshot->steer_count)
		return;
	for (size_t k = 0; k < AC_ARRAY_SIZE(gauges); k++) {
		page_head(page, gauges[k].name, GAUGE, "", gauges[k].help);
		for (size_t i = 0; i < snapshot->steer_count; i++)
			sample(page, gauges[k].name, "", snapshot->steer[i].interface, NULL,
			       gauges[k].value(&snapshot->steer[i]));
	}
	page_head(page, "steer_packets", COUNTER, "", PACKETS_HELP);
	for (size_t i = 0; i < snapshot->steer_count; i++)
		for (unsigned int verdict = 0; verdict < STEER_VERDICT_MAX; verdict++)
			sample(page, "steer_packets", metric_suffix(COUNTER), snapshot->steer[i].interface,
			       steer_verdict_names[verdict], snapshot->steer[i].packets[verdict]);
}

void steer_families(void (*visit)(const struct metrics_family *family, void *context), void *context)
{
	for (size_t k = 0; k < AC_ARRAY_SIZE(gauges); k++)
		visit(&(struct metrics_family){ gauges[k].name, "gauge", "", "interface", gauges[k].help }, context);
	visit(&(struct metrics_family){ "steer_packets", "counter", "", "interface,verdict", PACKETS_HELP }, context);
}
