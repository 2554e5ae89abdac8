/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "telemetry/event_format.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/json.h"
#include "lib/names.h"
#include "lib/table.h"

#define N(value) ((json_int_t)(value))

static const char *const types[] = {
#define X(id, name, text) name,
	AC_EVENTS(X)
#undef X
};

const char *event_type_name(uint32_t type)
{
	return type < AC_EVENT_MAX ? types[type] : "unknown";
}

uint32_t event_type_find(const char *name)
{
	uint32_t type = 0;

	while (type < AC_EVENT_MAX && strcmp(types[type], name))
		type++;
	return type;
}

static json_t *response_json(const struct ac_event_response *r)
{
	return json_pack("{sI sI sI sI sI sI sI sI sI sI sI sI sb sb sb}", "writes", N(r->writes), "bytes", N(r->bytes),
			 "segments", N(r->segments), "retransmits", N(r->retransmits), "mss", N(r->mss),
			 "nodelay_calls", N(r->nodelay_calls), "cork_calls", N(r->cork_calls), "idle_calls",
			 N(r->idle_calls), "head_bytes", N(r->head_bytes), "gap_us", N(r->gap_us), "tail_us",
			 N(r->tail_us), "span_us", N(r->span_us), "tail_corked", !!(r->flags & AC_RESPONSE_TAIL_CORKED),
			 "overlaps", !!(r->flags & AC_RESPONSE_OVERLAPS), "closed", !!(r->flags & AC_RESPONSE_CLOSED));
}

static json_t *call_json(const struct ac_event_call *call)
{
	return json_pack("{sI sI sI sb sb}", "bytes", N(call->bytes), "mss", N(call->mss), "rtt_us", N(call->rtt_us),
			 "nodelay", call->nodelay, "more", call->more);
}

static json_t *detail_json(const struct ac_event *event)
{
	const struct ac_event_hold *hold = &event->hold;
	const struct ac_event_closed *closed = &event->closed;

	switch (event->type) {
	case AC_EVENT_FLOW_OPENED:
		return json_pack("{so}", "mode", NAME_JSON(mode_names, event->opened.mode));
	case AC_EVENT_FLOW_MANAGED:
	case AC_EVENT_FLOW_RETURNED:
		return json_pack("{so so}", "wrapper", NAME_JSON(wrapper_names, event->managed.wrapper), "refusal",
				 event->managed.refusal ? NAME_JSON(refusal_names, event->managed.refusal) :
							  json_null());
	case AC_EVENT_FIRST_HOLD:
		return json_pack("{sI}", "bytes", N(hold->bytes));
	case AC_EVENT_RELEASE:
	case AC_EVENT_MISS:
		return json_pack("{so sI sI sI sI}", "reason", NAME_JSON(reason_names, hold->reason), "writes",
				 N(hold->writes), "held", N(hold->held), "bytes", N(hold->bytes), "hold_us",
				 N(hold->hold_us));
	case AC_EVENT_BACKOFF:
		return json_pack("{sI sI}", "pause_bursts", N(event->backoff.pause), "misses",
				 N(event->backoff.misses));
	case AC_EVENT_FLOW_CLOSED:
		return json_pack("{sI sI sI sI sI sI sI sI sI sI}", "age_us", N(closed->age_us), "writes",
				 N(closed->writes), "written_bytes", N(closed->written_bytes), "read_bytes",
				 N(closed->read_bytes), "bursts", N(closed->bursts), "held", N(closed->held), "misses",
				 N(closed->misses), "segments", N(closed->segments), "retransmits",
				 N(closed->retransmits), "srtt_us", N(closed->srtt_us));
	case AC_EVENT_RESPONSE:
		return response_json(&event->response);
	case AC_EVENT_WRITE:
	case AC_EVENT_READ:
	case AC_EVENT_END:
		return call_json(&event->call);
	default:
		return json_object();
	}
}

json_t *event_json(const struct ac_event *event, const struct event_names *names)
{
	const struct ac_event_flow *flow = &event->flow;
	json_t *object =
		json_pack("{sf sI ss sI sI so si so si so so ss? ss?}", "time", names->time, "monotonic_us",
			  N(event->time_ns / 1000), "type", event_type_name(event->type), "cookie", N(flow->cookie),
			  "netns", N(flow->netns), "local", json_address(flow->local), "local_port", flow->local_port,
			  "remote", json_address(flow->remote), "remote_port", flow->remote_port, "side",
			  NAME_JSON(side_names, flow->side), "program", json_text(flow->comm, sizeof(flow->comm)),
			  "unit", names->unit, "policy", names->policy);
	json_t *detail = detail_json(event);

	json_object_update(object, detail);
	json_decref(detail);
	return object;
}

/* ------------------------------------------------------------------ text */

static void print_time(FILE *out, double time)
{
	time_t seconds = (time_t)time;
	struct tm local;
	char text[16];

	localtime_r(&seconds, &local);
	strftime(text, sizeof(text), "%H:%M:%S", &local);
	fprintf(out, "%s.%06d", text, (int)((time - seconds) * 1e6));
}

static void print_end(FILE *out, const json_t *event, const char *address, const char *port)
{
	const char *text = json_member_text(event, address);
	bool bare = !strchr(text, ':');

	fprintf(out, "%s%s%s:%" PRIdMAX, bare ? "" : "[", text, bare ? "" : "]", (intmax_t)json_number(event, port));
}

/* Members that the head of the line has already said. */
static bool is_head(const char *name)
{
	static const char *const head[] = { "time",	  "monotonic_us", "type",	 "cookie", "netns",   "local",
					    "local_port", "remote",	  "remote_port", "side",   "program", "unit" };

	for (size_t i = 0; i < AC_ARRAY_SIZE(head); i++)
		if (!strcmp(name, head[i]))
			return true;
	return false;
}

static enum table_style style_of(const char *type)
{
	if (!strcmp(type, "miss") || !strcmp(type, "backoff") || !strcmp(type, "lost"))
		return TABLE_BAD;
	if (!strcmp(type, "flow_managed") || !strcmp(type, "first_hold"))
		return TABLE_GOOD;
	return TABLE_PLAIN;
}

void event_print_flow(FILE *out, const json_t *event)
{
	print_time(out, json_number_value(json_object_get(event, "time")));
	if (!json_object_get(event, "local"))
		return;
	fprintf(out, "  %-6s %-15s  ", json_member_text(event, "side"), json_member_text(event, "program"));
	print_end(out, event, "local", "local_port");
	fputs(" > ", out);
	print_end(out, event, "remote", "remote_port");
}

void event_print(FILE *out, const json_t *event, bool colour)
{
	const char *type = json_member_text(event, "type"), *name;
	enum table_style style = style_of(type);
	const json_t *value;

	print_time(out, json_number_value(json_object_get(event, "time")));
	fprintf(out, "  %s%-14s%s", table_paint(style, colour), type, style ? table_paint(TABLE_PLAIN, colour) : "");
	if (json_object_get(event, "local")) {
		fprintf(out, "  %-6s %-15s  ", json_member_text(event, "side"), json_member_text(event, "program"));
		print_end(out, event, "local", "local_port");
		fputs(" > ", out);
		print_end(out, event, "remote", "remote_port");
	}
	json_object_foreach((json_t *)event, name, value) {
		if (is_head(name) || json_is_null(value))
			continue;
		if (json_is_string(value))
			fprintf(out, "  %s %s", name, json_string_value(value));
		else if (json_is_boolean(value))
			fprintf(out, "  %s %s", name, json_is_true(value) ? "yes" : "no");
		else if (json_is_real(value))
			fprintf(out, "  %s %g", name, json_real_value(value));
		else
			fprintf(out, "  %s %" PRIdMAX, name, (intmax_t)json_number(event, name));
	}
	putc('\n', out);
}
