/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "telemetry/series.h"

#include <stdlib.h>
#include <string.h>

/* What two services must share to share their series. */
struct label_set {
	uint16_t port;
	uint8_t side;
	char comm[AC_COMM_LEN * 4 + 1];
	char unit[UNIT_NAME_LEN];
	char container[CONTAINER_ID_LEN];
};

struct series {
	unsigned places;
	struct label_set *holders; /* sorted */
	size_t holder_count;
};

static int labels_compare(const struct label_set *a, const struct label_set *b)
{
	int order = (int)a->port - b->port;

	if (!order)
		order = (int)a->side - b->side;
	if (!order)
		order = strcmp(a->comm, b->comm);
	if (!order)
		order = strcmp(a->unit, b->unit);
	return order ? order : strcmp(a->container, b->container);
}

static struct label_set labels_of(const struct telemetry_service *service)
{
	struct label_set labels = { .port = service->port, .side = service->side };

	memcpy(labels.comm, service->comm, sizeof(labels.comm));
	memcpy(labels.unit, service->unit, sizeof(labels.unit));
	memcpy(labels.container, service->container, sizeof(labels.container));
	return labels;
}

static int service_compare(const void *x, const void *y)
{
	const struct telemetry_service *a = x, *b = y;
	struct label_set la, lb;

	if (a->overflow != b->overflow)
		return (int)a->overflow - b->overflow;
	la = labels_of(a);
	lb = labels_of(b);
	return labels_compare(&la, &lb);
}

void service_stats_add(struct ac_service_stats *a, const struct ac_service_stats *b)
{
	uint64_t *to = (uint64_t *)a;
	const uint64_t *from = (const uint64_t *)b;

	_Static_assert(sizeof(*a) % sizeof(*to) == 0, "struct ac_service_stats is nothing but 64-bit counters");
	for (size_t i = 0; i < sizeof(*a) / sizeof(*to); i++)
		to[i] += from[i];
}

size_t services_merge(struct telemetry_service *services, size_t count)
{
	size_t last = 0;

	if (!count)
		return 0;
	qsort(services, count, sizeof(*services), service_compare);
	for (size_t i = 1; i < count; i++) {
		if (!service_compare(&services[last], &services[i]))
			service_stats_add(&services[last].stats, &services[i].stats);
		else if (++last != i)
			services[last] = services[i];
	}
	return last + 1;
}

struct series *series_new(unsigned places)
{
	struct series *series = calloc(1, sizeof(*series));

	if (series)
		series->places = places;
	return series;
}

void series_free(struct series *series)
{
	if (series)
		free(series->holders);
	free(series);
}

static int holder_compare(const void *x, const void *y)
{
	return labels_compare(x, y);
}

struct candidate {
	size_t service;
	uint64_t writes;
};

static int candidate_compare(const void *x, const void *y)
{
	const struct candidate *a = x, *b = y;

	if (a->writes != b->writes)
		return a->writes < b->writes ? 1 : -1;
	return a->service < b->service ? -1 : 1;
}

int series_assign(struct series *series, const struct telemetry_service *services, size_t count, bool *own)
{
	struct candidate *candidates = calloc(count + 1, sizeof(*candidates));
	struct label_set *holders = calloc(count + 1, sizeof(*holders));
	size_t holder_count = 0;
	unsigned used = 0;

	if (!candidates || !holders) {
		free(candidates);
		free(holders);
		return -1;
	}
	for (size_t i = 0; i < count; i++) {
		struct label_set wanted = labels_of(&services[i]);

		own[i] = series->holder_count && !services[i].overflow &&
			 bsearch(&wanted, series->holders, series->holder_count, sizeof(wanted), holder_compare);
		used += own[i];
		candidates[i] = (struct candidate){ i, services[i].stats.writes };
	}
	qsort(candidates, count, sizeof(*candidates), candidate_compare);
	for (size_t i = 0; i < count && used < series->places; i++) {
		size_t service = candidates[i].service;

		if (own[service] || services[service].overflow)
			continue;
		own[service] = true;
		used++;
	}
	for (size_t i = 0; i < count; i++)
		if (own[i])
			holders[holder_count++] = labels_of(&services[i]);
	free(candidates);
	free(series->holders);
	series->holders = holders;
	series->holder_count = holder_count;
	return 0;
}
