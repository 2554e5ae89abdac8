/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The metrics of autocork-fastpath: one series per process and port. */
#include <inttypes.h>
#include <string.h>

#include "lib/text.h"
#include "telemetry/fastpath.h"
#include "telemetry/page.h"

#define LABELS "name,interface"
#define RUNNING_HELP "1 if the fast path's process is running, 0 if it ended and has not been restarted yet."

static struct telemetry_fastpath *row_of(struct telemetry_snapshot *snapshot, const char *name, const char *interface)
{
	struct telemetry_fastpath *row;

	for (size_t i = 0; i < snapshot->fastpath_count; i++) {
		row = &snapshot->fastpath[i];
		if (!strcmp(row->name, name) && !strcmp(row->interface, interface))
			return row;
	}
	if (snapshot->fastpath_count == TELEMETRY_FASTPATH_MAX)
		return NULL;
	row = &snapshot->fastpath[snapshot->fastpath_count++];
	memset(row, 0, sizeof(*row));
	strcpy(row->name, name);
	strcpy(row->interface, interface);
	return row;
}

static void add(const struct fastpath_file *file, bool alive, void *context)
{
	struct telemetry_fastpath *row;
	char name[sizeof(row->name)], interface[sizeof(row->interface)];

	text_clean(name, sizeof(name), file->name, sizeof(file->name));
	for (uint32_t i = 0; i < file->queues; i++) {
		row = row_of(context, name,
			     text_clean(interface, sizeof(interface), file->queue[i].interface,
					sizeof(file->queue[i].interface)));
		if (!row)
			return;
		row->running = alive;
#define X(field, kind, help) row->sum.field += file->queue[i].field;
		FASTPATH_COUNTERS(X)
#undef X
	}
}

void fastpath_snapshot(const char *control, struct telemetry_snapshot *snapshot)
{
	char dir[4096];

	snapshot->fastpath_count = 0;
	if (fastpath_stats_beside(control, dir, sizeof(dir)))
		fastpath_stats_each(dir, add, snapshot);
}

static const char *unit_of(const struct fastpath_counter *counter)
{
	return strstr(counter->name, "_bytes") ? "bytes" : "";
}

static void sample(struct page *page, const char *name, const char *suffix, const struct telemetry_fastpath *row,
		   uint64_t value)
{
	fprintf(page->out, PREFIX "fastpath_%s%s{", name, suffix);
	page_label(page, "name", row->name, true);
	page_label(page, "interface", row->interface, false);
	fprintf(page->out, "} %" PRIu64 "\n", value);
	page->series++;
}

void page_fastpath(struct page *page, const struct telemetry_snapshot *snapshot)
{
	char name[64];

	if (!snapshot->fastpath_count)
		return;
	page_head(page, "fastpath_running", GAUGE, "", RUNNING_HELP);
	for (size_t i = 0; i < snapshot->fastpath_count; i++)
		sample(page, "running", "", &snapshot->fastpath[i], snapshot->fastpath[i].running);
	for (size_t k = 0; k < fastpath_counter_count; k++) {
		const struct fastpath_counter *counter = &fastpath_counters[k];
		enum metric_kind kind = counter->gauge ? GAUGE : COUNTER;

		snprintf(name, sizeof(name), "fastpath_%s", counter->name);
		page_head(page, name, kind, unit_of(counter), counter->help);
		for (size_t i = 0; i < snapshot->fastpath_count; i++)
			sample(page, counter->name, metric_suffix(kind), &snapshot->fastpath[i],
			       fastpath_counter_value(&snapshot->fastpath[i].sum, counter));
	}
}

void fastpath_families(void (*visit)(const struct metrics_family *family, void *context), void *context)
{
	char name[64];

	visit(&(struct metrics_family){ "fastpath_running", "gauge", "", LABELS, RUNNING_HELP }, context);
	for (size_t k = 0; k < fastpath_counter_count; k++) {
		const struct fastpath_counter *counter = &fastpath_counters[k];

		snprintf(name, sizeof(name), "fastpath_%s", counter->name);
		visit(&(struct metrics_family){ name, metric_kind_name(counter->gauge ? GAUGE : COUNTER),
						unit_of(counter), LABELS, counter->help },
		      context);
	}
}
