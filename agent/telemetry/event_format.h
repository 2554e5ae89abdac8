/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Events as JSON (docs/schema/events.json) and as lines of text; which of them a listener wants. Pure. */
#pragma once
#include <autocork/event.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "lib/fault.h"
#include "telemetry/unit_names.h"

/* What a record says by number only. */
struct event_names {
	const char *policy; /* NULL = no longer known */
	const char *unit;
	double time; /* Unix time */
};

const char *event_type_name(uint32_t type);
/* AC_EVENT_MAX if there is no such type. */
uint32_t event_type_find(const char *name);
json_t *event_json(const struct ac_event *event, const struct event_names *names);
/* Its time, side, program and addresses; no end of line. */
void event_print_flow(FILE *out, const json_t *event);
/* One line of an event in the shape of event_json(); `colour`: with escape sequences. */
void event_print(FILE *out, const json_t *event, bool colour);

/* All conditions must hold. */
struct event_filter {
	uint32_t types;	 /* AC_EVENT_BIT() each */
	uint16_t port;	 /* local or remote; 0 = any */
	uint32_t netns;	 /* 0 = any */
	uint64_t cgroup; /* 0 = any */
	bool has_address;
	uint8_t address[16];	  /* local or remote */
	char program[64];	  /* shell pattern; "" = any */
	char unit[UNIT_NAME_LEN]; /* shell pattern; "" = any */
};

/* From the members types, port, program, cgroup, unit, address, netns of a request. Unknown ones are refused. */
int event_filter_read(struct event_filter *filter, const json_t *request, struct fault *fault);
bool event_filter_wants(const struct event_filter *filter, const struct ac_event *event, const char *unit);
