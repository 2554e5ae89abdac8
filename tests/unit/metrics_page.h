/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What one part of the agent writes on its metrics page. */
#pragma once
#include <stdio.h>

#include "telemetry/metrics.h"
#include "telemetry/page.h"

typedef void page_part(struct page *page, const struct telemetry_snapshot *snapshot);

/* The caller frees it. */
static inline char *page_of(page_part *part, const struct telemetry_snapshot *snapshot, int *series)
{
	char *text = NULL;
	size_t size;
	struct page page = { .out = open_memstream(&text, &size), .format = METRICS_OPENMETRICS };

	part(&page, snapshot);
	fclose(page.out);
	*series = page.series;
	return text;
}

static inline void writes_nothing(page_part *part)
{
	struct telemetry_snapshot snapshot = { 0 };
	int series;
	char *page = page_of(part, &snapshot, &series);

	assert_string_equal(page, "");
	assert_int_equal(series, 0);
	free(page);
}
