/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The metrics of programs with TCP of their own: sums over all of them, of which there may be hundreds that come and go
 * (`autocork endpoint status` has each). */
#include <inttypes.h>
#include <stddef.h>

#include "telemetry/metrics.h"
#include "telemetry/page.h"

#define PROGRAMS_HELP "Programs that have a queue and serve their connections themselves."
#define MOVED "endpoint_moved"
#define MOVED_HELP "Connections handed to the kernel while open, by reason."

static const struct {
	const char *name, *help;
	enum metric_kind kind;
	size_t at;
} fields[] = {
/* clang-format off */
#define X(name, help) { "endpoint_" #name, help, GAUGE, offsetof(struct endpoint_page, name) },
	ENDPOINT_GAUGES(X)
#undef X
#define X(name, help) { "endpoint_" #name, help, COUNTER, offsetof(struct endpoint_page, name) },
	ENDPOINT_COUNTERS(X)
#undef X
	/* clang-format on */
};

static uint64_t value_of(const struct endpoint_page *page, size_t field)
{
	const char *at = (const char *)page + fields[field].at;

	return fields[field].kind == GAUGE ? *(const uint32_t *)at : *(const uint64_t *)at;
}

void page_endpoint(struct page *page, const struct telemetry_snapshot *snapshot)
{
	if (!snapshot->has_endpoint)
		return;
	page_head(page, "endpoint_programs", GAUGE, "", PROGRAMS_HELP);
	fprintf(page->out, PREFIX "endpoint_programs %u\n", snapshot->endpoint.programs);
	for (size_t i = 0; i < AC_ARRAY_SIZE(fields); i++) {
		page_head(page, fields[i].name, fields[i].kind, "", fields[i].help);
		fprintf(page->out, PREFIX "%s%s %" PRIu64 "\n", fields[i].name, metric_suffix(fields[i].kind),
			value_of(&snapshot->endpoint.page, i));
	}
	page_head(page, MOVED, COUNTER, "", MOVED_HELP);
	for (size_t i = 0; i < ENDPOINT_REASON_MAX; i++) {
		fprintf(page->out, PREFIX MOVED "%s{", metric_suffix(COUNTER));
		page_label(page, "reason", endpoint_reasons[i], true);
		fprintf(page->out, "} %" PRIu64 "\n", snapshot->endpoint.moved[i]);
	}
	page->series += 1 + AC_ARRAY_SIZE(fields) + ENDPOINT_REASON_MAX;
}

void endpoint_families(void (*visit)(const struct metrics_family *family, void *context), void *context)
{
	visit(&(struct metrics_family){ "endpoint_programs", "gauge", "", "", PROGRAMS_HELP }, context);
	for (size_t i = 0; i < AC_ARRAY_SIZE(fields); i++)
		visit(&(struct metrics_family){ fields[i].name, metric_kind_name(fields[i].kind), "", "",
						fields[i].help },
		      context);
	visit(&(struct metrics_family){ MOVED, "counter", "", "reason", MOVED_HELP }, context);
}
