/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The last hour in short: totals every HISTORY_PERIOD_S, for the charts of the web page. */
#pragma once
#include <autocork/service.h>
#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#define HISTORY_PERIOD_S 5
#define HISTORY_SAMPLES 720 /* one hour */

struct history {
	struct history_sample {
		double time; /* Unix time */
		uint64_t writes, held, misses, shadow_held;
	} samples[HISTORY_SAMPLES];
	size_t first, count;
};

void history_add(struct history *history, double time, const struct ac_service_stats *totals);
/* {"time": [], "writes": [], "held": [], "misses": [], "shadow_held": []}: rates per second between two samples. */
json_t *history_json(const struct history *history);
