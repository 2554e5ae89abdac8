/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "telemetry/response_watch.h"

#include <stdlib.h>
#include <string.h>

#include "lib/array.h"
#include "lib/json.h"
#include "lib/names.h"

#define N(value) ((json_int_t)(value))

/* The control socket may free it after the engine is gone. */
struct response_watch {
	struct response_watch **watches; /* the list it is in; NULL: in none any more */
	struct response_watch *next;
	struct control_client *client;
	struct engine_watch *watch;
	struct engine_response *rows;
	size_t count, room, at;
};

static void leave(struct response_watch *watch)
{
	struct response_watch **link = watch->watches;

	engine_watch_stop(watch->watch);
	watch->watch = NULL;
	if (!link)
		return;
	while (*link != watch)
		link = &(*link)->next;
	*link = watch->next;
	watch->watches = NULL;
}

static void watch_free(void *context)
{
	struct response_watch *watch = context;

	leave(watch);
	free(watch->rows);
	free(watch);
}

static int add_row(const struct engine_response *response, void *context)
{
	struct response_watch *watch = context;

	if (!array_room(&watch->rows, watch->count, &watch->room, sizeof(*watch->rows)))
		return -1;
	watch->rows[watch->count++] = *response;
	return 0;
}

static json_t *range_json(const struct ac_response_range *range)
{
	return json_pack("{sI sI sI}", "min", N(range->min), "max", N(range->max), "total", N(range->total));
}

static json_t *row_json(const struct engine_response *row)
{
	const struct ac_response_sum *sum = &row->sum;
	json_t *waste = json_array();

	for (int i = 0; i < AC_WASTE_MAX; i++)
		json_array_append_new(waste, json_pack("[I I]", N(sum->waste[i].responses), N(sum->waste[i].amount)));
	return json_pack("{sb si so so s[III] sI sI sI so so so sI sI sI sI sI so}", "other", row->other, "port",
			 row->service.port, "side", NAME_JSON(side_names, row->service.side), "program",
			 json_text(row->service.comm, sizeof(row->service.comm)), "calls", N(row->calls.writes),
			 N(row->calls.nodelay_calls), N(row->calls.cork_calls), "responses", N(sum->count),
			 "overlapping", N(sum->overlapping), "closed", N(sum->closed), "writes",
			 range_json(&sum->writes), "bytes", range_json(&sum->bytes), "segments",
			 range_json(&sum->segments), "segments_needed", N(sum->needed), "retransmits",
			 N(sum->retransmits), "nodelay_calls", N(sum->nodelay_calls), "cork_calls", N(sum->cork_calls),
			 "idle_calls", N(sum->idle_calls), "waste", waste);
}

static json_t *next_row(void *context)
{
	struct response_watch *watch = context;

	return watch->at < watch->count ? row_json(&watch->rows[watch->at++]) : NULL;
}

/* The client has seen enough. What the list is made of is read now; the programs need not stay while it is written. */
static void finish(void *context)
{
	struct response_watch *watch = context;

	if (watch->watch)
		engine_watch_read(watch->watch, add_row, watch);
	leave(watch);
	control_list(watch->client, &(struct control_list){ next_row, watch_free, watch });
}

int response_watch_subscribe(struct response_watch **watches, struct engine *engine, struct control_client *client,
			     const json_t *request, struct fault *fault)
{
	struct response_watch *watch;
	json_int_t port = 0;
	json_error_t error;
	size_t count = 0;
	const char *op;

	if (json_unpack_ex((json_t *)request, &error, 0, "{ss s?I !}", "op", &op, "port", &port))
		return fault_set(fault, EXIT_USAGE, "responses: %s: it takes port", error.text);
	if (port < 0 || port > 65535)
		return fault_set(fault, EXIT_USAGE, "responses: port out of range: a port is 1 to 65535");
	for (watch = *watches; watch; watch = watch->next)
		count++;
	if (count == RESPONSE_WATCHES_MAX)
		return fault_set(fault, EXIT_FAILED, "responses: %d are watching already: try again later",
				 RESPONSE_WATCHES_MAX);
	watch = calloc(1, sizeof(*watch));
	if (!watch)
		return fault_set(fault, EXIT_FAILED, "responses: out of memory");
	if (engine_watch_start(engine, (uint16_t)port, &watch->watch, fault)) {
		free(watch);
		return -1;
	}
	watch->client = client;
	watch->watches = watches;
	watch->next = *watches;
	*watches = watch;
	control_subscribe(client, watch_free, watch);
	control_on_end(client, finish);
	control_push(client, json_pack("{sb}", "watching", true));
	return 0;
}

void response_watches_stop(struct response_watch **watches)
{
	while (*watches)
		leave(*watches);
}
