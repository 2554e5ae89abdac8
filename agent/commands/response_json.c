/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include <string.h>

#include "commands/response_table.h"
#include "lib/json.h"

#define N(value) ((json_int_t)(value))

static uint64_t number(const json_t *object, const char *name)
{
	json_int_t value = json_number(object, name);

	return value >= 0 ? value : 0;
}

static uint64_t element(const json_t *list, size_t index)
{
	json_int_t value = json_integer_value(json_array_get(list, index));

	return value >= 0 ? value : 0;
}

static struct ac_response_range range_of(const json_t *item, const char *name)
{
	const json_t *range = json_object_get(item, name);

	return (struct ac_response_range){ number(range, "min"), number(range, "max"), number(range, "total") };
}

void response_read(const json_t *item, struct response_row *row)
{
	const json_t *calls = json_object_get(item, "calls"), *waste = json_object_get(item, "waste");
	uint64_t port = number(item, "port");

	*row = (struct response_row){
		.service.port = port <= UINT16_MAX ? port : 0,
		.other = json_is_true(json_object_get(item, "other")),
		.calls = { element(calls, 0), element(calls, 1), element(calls, 2) },
		.sum = {
			.count = number(item, "responses"),
			.overlapping = number(item, "overlapping"),
			.closed = number(item, "closed"),
			.writes = range_of(item, "writes"),
			.bytes = range_of(item, "bytes"),
			.segments = range_of(item, "segments"),
			.needed = number(item, "segments_needed"),
			.retransmits = number(item, "retransmits"),
			.nodelay_calls = number(item, "nodelay_calls"),
			.cork_calls = number(item, "cork_calls"),
			.idle_calls = number(item, "idle_calls"),
		},
	};
	strncpy(row->service.side, json_member_text(item, "side"), sizeof(row->service.side) - 1);
	strncpy(row->service.program, json_member_text(item, "program"), sizeof(row->service.program) - 1);
	for (size_t i = 0; i < AC_WASTE_MAX; i++) {
		row->sum.waste[i].responses = element(json_array_get(waste, i), 0);
		row->sum.waste[i].amount = element(json_array_get(waste, i), 1);
	}
}

static json_t *range_json(const struct ac_response_range *range, uint64_t count)
{
	double mean = count ? (double)range->total / count : 0;

	return json_pack("{sI sf sI sI}", "min", N(range->min), "mean", mean, "max", N(range->max), "total",
			 N(range->total));
}

static json_t *wastes_json(const struct response_pattern *p)
{
	json_t *list = json_array();

	for (size_t i = 0; i < AC_WASTE_MAX; i++) {
		const struct response_waste_text *text = &response_waste_texts[i];

		if (p->sum.waste[i].responses)
			json_array_append_new(list, json_pack("{ss sI sI ss ss ss}", "name", text->name, "responses",
							      N(p->sum.waste[i].responses), "amount",
							      N(p->sum.waste[i].amount), "unit", text->unit, "text",
							      text->text, "advice", text->advice));
	}
	return list;
}

json_t *response_pattern_json(const struct response_pattern *p)
{
	const struct response_service *service = &p->service;

	return json_pack("{so so so sI so so so sI sI sI sI sI sI sI so}", "port",
			 p->other ? json_null() : json_integer(service->port), "side",
			 *service->side ? json_string(service->side) : json_null(), "program",
			 p->other ? json_null() : json_string(service->program), "responses", N(p->sum.count), "writes",
			 range_json(&p->sum.writes, p->sum.count), "bytes", range_json(&p->sum.bytes, p->sum.count),
			 "segments", range_json(&p->sum.segments, p->sum.count), "segments_needed", N(p->sum.needed),
			 "retransmits", N(p->sum.retransmits), "nodelay_calls", N(p->sum.nodelay_calls), "cork_calls",
			 N(p->sum.cork_calls), "idle_calls", N(p->sum.idle_calls), "overlapping", N(p->sum.overlapping),
			 "closed", N(p->sum.closed), "waste", wastes_json(p));
}
