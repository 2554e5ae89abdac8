/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "telemetry/page.h"

#include <string.h>

static const struct {
	const char *name;
	const char *suffix;
	const char *text_name; /* the older format knows no info */
} kinds[] = {
	[COUNTER] = { "counter", "_total", "counter" },
	[GAUGE] = { "gauge", "", "gauge" },
	[HISTOGRAM] = { "histogram", "", "histogram" },
	[INFO] = { "info", "_info", "gauge" },
};

const char *metric_kind_name(enum metric_kind kind)
{
	return kinds[kind].name;
}

const char *metric_suffix(enum metric_kind kind)
{
	return kinds[kind].suffix;
}

void page_head(struct page *page, const char *name, enum metric_kind kind, const char *unit, const char *help)
{
	bool text = page->format == METRICS_TEXT;
	const char *suffix =
		text ? kinds[kind].suffix : ""; /* there the samples are named, in OpenMetrics the family */

	fprintf(page->out, "# HELP " PREFIX "%s%s %s\n# TYPE " PREFIX "%s%s %s\n", name, suffix, help, name, suffix,
		text ? kinds[kind].text_name : kinds[kind].name);
	if (!text && *unit)
		fprintf(page->out, "# UNIT " PREFIX "%s %s\n", name, unit);
}

void page_label(struct page *page, const char *name, const char *value, bool first)
{
	fprintf(page->out, "%s%s=\"", first ? "" : ",", name);
	for (; *value; value++) {
		if (*value == '\\' || *value == '"')
			putc('\\', page->out);
		putc(*value, page->out);
	}
	putc('"', page->out);
}

enum metrics_format metrics_format_accepted(const char *accept)
{
	return accept && strstr(accept, "application/openmetrics-text") ? METRICS_OPENMETRICS : METRICS_TEXT;
}

const char *metrics_content_type(enum metrics_format format)
{
	return format == METRICS_OPENMETRICS ? "application/openmetrics-text; version=1.0.0; charset=utf-8" :
					       "text/plain; version=0.0.4; charset=utf-8";
}
