/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include <string.h>

#include "commands/response_table.h"
#include "lib/json.h"

#define N(value) ((json_int_t)(value))

static uint32_t number(const json_t *event, const char *name)
{
	json_int_t value = json_number(event, name);

	return value >= 0 && value <= UINT32_MAX ? value : 0;
}

static uint8_t flag(const json_t *event, const char *name, uint8_t bit)
{
	return json_is_true(json_object_get(event, name)) ? bit : 0;
}

void response_read(const json_t *event, struct response_service *service, struct ac_event_response *r)
{
	const char *side = json_member_text(event, "side");
	uint32_t port = number(event, strcmp(side, "client") ? "local_port" : "remote_port");

	*service = (struct response_service){ .port = port <= UINT16_MAX ? port : 0 };
	strncpy(service->side, side, sizeof(service->side) - 1);
	strncpy(service->program, json_member_text(event, "program"), sizeof(service->program) - 1);
	*r = (struct ac_event_response){
		.writes = number(event, "writes"),
		.bytes = number(event, "bytes"),
		.segments = number(event, "segments"),
		.retransmits = number(event, "retransmits"),
		.mss = number(event, "mss"),
		.nodelay_calls = number(event, "nodelay_calls"),
		.cork_calls = number(event, "cork_calls"),
		.idle_calls = number(event, "idle_calls"),
		.head_bytes = number(event, "head_bytes"),
		.gap_us = number(event, "gap_us"),
		.tail_us = number(event, "tail_us"),
		.span_us = number(event, "span_us"),
		.flags = flag(event, "tail_corked", AC_RESPONSE_TAIL_CORKED) |
			 flag(event, "overlaps", AC_RESPONSE_OVERLAPS) | flag(event, "closed", AC_RESPONSE_CLOSED),
	};
}

static json_t *range_json(const struct response_range *range, uint64_t count)
{
	double mean = count ? (double)range->total / count : 0;

	return json_pack("{sI sf sI sI}", "min", N(range->min), "mean", mean, "max", N(range->max), "total",
			 N(range->total));
}

static json_t *wastes_json(const struct response_pattern *p)
{
	json_t *list = json_array();

	for (size_t i = 0; i < RESPONSE_WASTE_MAX; i++) {
		const struct response_waste_text *text = &response_waste_texts[i];

		if (p->waste[i].responses)
			json_array_append_new(list, json_pack("{ss sI sI ss ss ss}", "name", text->name, "responses",
							      N(p->waste[i].responses), "amount", N(p->waste[i].amount),
							      "unit", text->unit, "text", text->text, "advice",
							      text->advice));
	}
	return list;
}

json_t *response_pattern_json(const struct response_pattern *p)
{
	const struct response_service *service = &p->service;

	return json_pack("{so so so sI so so so sI sI sI sI sI sI sI so}",
			 "port", p->other ? json_null() : json_integer(service->port),
			 "side", *service->side ? json_string(service->side) : json_null(),
			 "program", p->other ? json_null() : json_string(service->program), "responses", N(p->count),
			 "writes", range_json(&p->writes, p->count), "bytes", range_json(&p->bytes, p->count),
			 "segments", range_json(&p->segments, p->count), "segments_needed", N(p->needed), "retransmits",
			 N(p->retransmits), "nodelay_calls", N(p->nodelay_calls), "cork_calls", N(p->cork_calls),
			 "idle_calls", N(p->idle_calls), "overlapping", N(p->overlapping), "closed", N(p->closed),
			 "waste", wastes_json(p));
}
