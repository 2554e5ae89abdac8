/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "commands/service_list.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/client.h"
#include "cli/progress.h"
#include "lib/array.h"
#include "lib/clock.h"
#include "lib/json.h"
#include "lib/names.h"
#include "lib/text.h"

#define EXACT_S 3600.0	/* what looks longer than this rests on a sample where the budget asks for one */
#define EXACT_MORE_S 10 /* the second reading may be late */

const char *service_side_name(uint8_t side)
{
	return side_names[side < AC_SIDE_MAX ? side : AC_SIDE_ANY];
}

static uint8_t side_of(const char *name)
{
	for (uint8_t side = 0; side < AC_SIDE_MAX; side++)
		if (!strcmp(name, side_names[side]))
			return side;
	return AC_SIDE_ANY;
}

/* From the shape of the "services" operation. */
static void read_service(struct listed_service *service, const json_t *object)
{
	const json_t *released = json_object_get(object, "released"), *value;
	const char *name;

	*service = (struct listed_service){
		.port = json_number(object, "port"),
		.side = side_of(json_member_text(object, "side")),
		.overflow = json_is_integer(json_object_get(object, "number")) && !json_number(object, "number"),
		.counts = {
			.writes = json_number(object, "writes"),
			.bursts = json_number(object, "bursts"),
			.inferred_bursts = json_number(object, "inferred_bursts"),
			.held = json_number(object, "held"),
			.misses = json_number(object, "misses"),
			.shadow_held = json_number(object, "shadow_held"),
			.shadow_misses = json_number(object, "shadow_misses"),
			.shadow_merged = json_number(object, "shadow_merged"),
			.shadow_stall_us = json_number(object, "shadow_stall_us"),
			.segments = json_number(object, "segments"),
			.retransmits = json_number(object, "retransmits"),
			.large_copied_bytes = json_number(object, "large_copied_bytes"),
			.corked = json_number(object, "more_writes") +
				  json_number(json_object_get(object, "option_calls"), "cork"),
			.opened = json_number(object, "flows_opened"),
			.managed = json_number(object, "flows_managed"),
		},
		.flows = json_number(object, "flows"),
		.managed = json_number(object, "managed"),
		.hold_us = json_number(object, "hold_us"),
	};
	name = json_member_text(object, "program");
	text_clean(service->program, sizeof(service->program), name, strlen(name));
	json_object_foreach((json_t *)released, name, value)
		service->releases += json_integer_value(value);
}

static int by_key(const void *x, const void *y)
{
	const struct listed_service *a = x, *b = y;
	int order = (int)a->overflow - b->overflow;

	if (!order)
		order = (int)a->port - b->port;
	if (!order)
		order = (int)a->side - b->side;
	return order ? order : strcmp(a->program, b->program);
}

struct fetch {
	struct service_list *list;
	size_t room;
};

static int add(json_t *item, void *context)
{
	struct fetch *fetch = context;
	struct service_list *list = fetch->list;

	if (!array_room(&list->services, list->count, &fetch->room, sizeof(*list->services)))
		return 1;
	read_service(&list->services[list->count++], item);
	return 0;
}

static void add_up(struct listed_service *to, const struct listed_service *from)
{
	uint64_t *a = (uint64_t *)&to->counts;
	const uint64_t *b = (const uint64_t *)&from->counts;

	for (size_t i = 0; i < sizeof(to->counts) / sizeof(*a); i++)
		a[i] += b[i];
	to->flows += from->flows;
	to->managed += from->managed;
	to->hold_us += from->hold_us;
	to->releases += from->releases;
}

int service_list_fetch(const char *control, double exact_s, struct service_list *list, struct fault *fault)
{
	struct fetch fetch = { .list = list };
	size_t last = 0;
	int result;

	*list = (struct service_list){ 0 };
	result = client_list(control, json_pack("{ss sf}", "op", "services", "exact_seconds", exact_s), add, &fetch,
			     fault);
	list->time = monotonic_seconds();
	if (result > 0)
		result = fault_set(fault, EXIT_FAILED, "services: out of memory");
	if (result) {
		service_list_free(list);
		return -1;
	}
	if (!list->count)
		return 0;
	qsort(list->services, list->count, sizeof(*list->services), by_key);
	for (size_t i = 1; i < list->count; i++) {
		if (!by_key(&list->services[last], &list->services[i]))
			add_up(&list->services[last], &list->services[i]);
		else if (++last != i)
			list->services[last] = list->services[i];
	}
	list->count = last + 1;
	return 0;
}

int service_list_change(const struct cli *cli, double seconds, struct service_list *list, double *passed,
			struct fault *fault)
{
	struct service_list before;

	if (service_list_fetch(cli->control, seconds < EXACT_S ? seconds + EXACT_MORE_S : EXACT_S, &before, fault))
		return -1;
	progress_wait(cli, "observing", seconds);
	if (service_list_fetch(cli->control, 0, list, fault)) {
		service_list_free(&before);
		return -1;
	}
	for (size_t i = 0; i < list->count; i++) {
		const struct listed_service *then = service_list_find(&before, &list->services[i]);

		if (then)
			advice_counts_since(&list->services[i].counts, &then->counts);
	}
	*passed = list->time - before.time;
	service_list_free(&before);
	return 0;
}

void service_list_free(struct service_list *list)
{
	free(list->services);
	*list = (struct service_list){ 0 };
}

const struct listed_service *service_list_find(const struct service_list *list, const struct listed_service *service)
{
	if (!list->count)
		return NULL;
	return bsearch(service, list->services, list->count, sizeof(*service), by_key);
}
