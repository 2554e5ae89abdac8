/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* A page of metrics under way: the two text formats, and the count of series. Internal to the metrics. */
#pragma once
#include <stdbool.h>
#include <stdio.h>

#include "telemetry/metrics.h"

#define PREFIX "autocork_"

enum metric_kind { COUNTER, GAUGE, HISTOGRAM, INFO };

struct page {
	FILE *out;
	enum metrics_format format;
	int series;
};

const char *metric_kind_name(enum metric_kind kind);
/* What the name of a metric's samples ends with. */
const char *metric_suffix(enum metric_kind kind);
/* HELP, TYPE and UNIT lines. */
void page_head(struct page *page, const char *name, enum metric_kind kind, const char *unit, const char *help);
/* name="value", escaped; `value` is clean text (text.h). */
void page_label(struct page *page, const char *name, const char *value, bool first);

/* metrics_agent.c, metrics_endpoint.c, metrics_fastpath.c, metrics_steer.c: what does not come per service. At most
 * AGENT_SERIES series.
 */
#define AGENT_SERIES 600
void page_agent(struct page *page, const struct telemetry_snapshot *snapshot);
void page_steer(struct page *page, const struct telemetry_snapshot *snapshot);
void steer_families(void (*visit)(const struct metrics_family *family, void *context), void *context);
void page_endpoint(struct page *page, const struct telemetry_snapshot *snapshot);
void endpoint_families(void (*visit)(const struct metrics_family *family, void *context), void *context);
void page_fastpath(struct page *page, const struct telemetry_snapshot *snapshot);
void fastpath_families(void (*visit)(const struct metrics_family *family, void *context), void *context);
void agent_families(void (*visit)(const struct metrics_family *family, void *context), void *context);
