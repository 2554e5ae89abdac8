/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Events: what a record becomes as JSON and text, and which of them a filter lets through. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "telemetry/event_format.h"

static struct ac_event record(uint32_t type)
{
	struct ac_event event = {
		.type = type,
		.flow = { .cookie = 7,
			  .cgroup = 1,
			  .netns = 4026531840,
			  .local_port = 80,
			  .remote_port = 50000,
			  .local = { [10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1 },
			  .remote = { [0] = 0xfd, [15] = 2 },
			  .side = AC_SIDE_SERVER,
			  .policy = 1,
			  .comm = "nginx" },
	};

	return event;
}

static const struct event_names names = { "web", "nginx.service", 1700000000.5 };

static char *text_of(const json_t *json)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	event_print(out, json, false);
	fclose(out);
	return text;
}

static void every_type_has_its_members(void **state)
{
	static const char *const members[AC_EVENT_MAX] = {
		[AC_EVENT_FLOW_OPENED] = "mode",
		[AC_EVENT_FLOW_MANAGED] = "refusal",
		[AC_EVENT_FLOW_RETURNED] = "wrapper",
		[AC_EVENT_FIRST_HOLD] = "bytes",
		[AC_EVENT_RELEASE] = "reason",
		[AC_EVENT_MISS] = "hold_us",
		[AC_EVENT_RESPONSE] = "idle_calls",
		[AC_EVENT_BACKOFF] = "pause_bursts",
		[AC_EVENT_FLOW_CLOSED] = "retransmits",
		[AC_EVENT_WRITE] = "more",
		[AC_EVENT_READ] = "nodelay",
		[AC_EVENT_END] = "rtt_us",
	};

	for (uint32_t type = 0; type < AC_EVENT_MAX; type++) {
		struct ac_event event = record(type);
		json_t *json = event_json(&event, &names);
		char *text = text_of(json);

		assert_string_equal(json_string_value(json_object_get(json, "type")), event_type_name(type));
		assert_int_equal(event_type_find(event_type_name(type)), type);
		assert_string_equal(json_string_value(json_object_get(json, "local")), "127.0.0.1");
		assert_string_equal(json_string_value(json_object_get(json, "remote")), "fd00::2");
		assert_non_null(strstr(text, "127.0.0.1:80 > [fd00::2]:50000"));
		assert_int_equal(text[strlen(text) - 1], '\n');
		if (members[type])
			assert_non_null(json_object_get(json, members[type]));
		free(text);
		json_decref(json);
	}
}

/* A newer kernel side, or a broken one, may say anything. */
static void nonsense_is_shown_as_null(void **state)
{
	struct ac_event event;
	json_t *json;

	memset(&event, 0xff, sizeof(event));
	for (uint32_t type = 0; type <= AC_EVENT_MAX + 1; type++) {
		event.type = type;
		json = event_json(&event, &(struct event_names){ 0 });
		assert_non_null(json);
		free(text_of(json));
		json_decref(json);
	}
	event.type = AC_EVENT_RELEASE;
	json = event_json(&event, &(struct event_names){ 0 });
	assert_true(json_is_null(json_object_get(json, "reason")));
	assert_true(json_is_null(json_object_get(json, "side")));
	json_decref(json);
}

static void filters(void **state)
{
	static const struct {
		const char *request;
		bool valid, wants;
	} cases[] = {
		{ "{'op':'events'}", true, true },
		{ "{'op':'events','types':['miss']}", true, true },
		{ "{'op':'events','types':['release']}", true, false },
		{ "{'op':'events','types':['write','read','end']}", true, false },
		{ "{'op':'events','types':[]}", true, false },
		{ "{'op':'events','types':['mist']}", false, false },
		{ "{'op':'events','types':[1]}", false, false },
		{ "{'op':'events','types':'miss'}", false, false },
		{ "{'op':'events','port':80}", true, true },
		{ "{'op':'events','port':50000}", true, true },
		{ "{'op':'events','port':81}", true, false },
		{ "{'op':'events','port':65536}", false, false },
		{ "{'op':'events','port':-1}", false, false },
		{ "{'op':'events','port':'80'}", false, false },
		{ "{'op':'events','program':'ng*'}", true, true },
		{ "{'op':'events','program':'ng'}", true, false },
		{ "{'op':'events','program':''}", false, false },
		/* 63 and 64 bytes */
		{ "{'op':'events','program':'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx*'}", true,
		  false },
		{ "{'op':'events','program':'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx*'}", false,
		  false },
		{ "{'op':'events','unit':'*.service'}", true, true },
		{ "{'op':'events','unit':'*.scope'}", true, false },
		/* a container's: 15 + 64 + 6 bytes */
		{ "{'op':'events','unit':'cri-containerd-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.scope'}",
		  true, false },
		{ "{'op':'events','address':'127.0.0.1'}", true, true },
		{ "{'op':'events','address':'::ffff:127.0.0.1'}", true, true },
		{ "{'op':'events','address':'fd00::2'}", true, true },
		{ "{'op':'events','address':'127.0.0.2'}", true, false },
		{ "{'op':'events','address':'localhost'}", false, false },
		{ "{'op':'events','netns':4026531840}", true, true },
		{ "{'op':'events','netns':4026531841}", true, false },
		{ "{'op':'events','netns':99999999999}", false, false },
		{ "{'op':'events','cgroup':'system.slice'}", false, false },
		{ "{'op':'events','cgroup':'/no/such/cgroup'}", false, false },
		{ "{'op':'events','prot':80}", false, false },
		{ "{'op':'events','port':80,'program':'nginx','types':['miss','lost'],'address':'fd00::2'}", true,
		  true },
		{ "{'op':'events','port':80,'program':'redis'}", true, false },
	};
	struct ac_event event = record(AC_EVENT_MISS);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *text = strdup(cases[i].request);
		struct event_filter filter;
		struct fault fault = { 0 };
		json_t *request;
		bool valid;

		for (char *c = text; *c; c++)
			*c = *c == '\'' ? '"' : *c;
		request = json_loads(text, 0, NULL);
		assert_non_null(request);
		valid = !event_filter_read(&filter, request, &fault);
		if (valid != cases[i].valid)
			fail_msg("%s: %s", text, valid ? "taken" : fault.text);
		if (!valid)
			assert_int_equal(strncmp(fault.text, "events", 6), 0);
		else if (event_filter_wants(&filter, &event, "nginx.service") != cases[i].wants)
			fail_msg("%s: wrong", text);
		json_decref(request);
		free(text);
	}
}

/* Whoever names no types is told of all but those that come with every burst. */
static void types_by_default(void **state)
{
	json_t *request = json_pack("{ss}", "op", "events");
	const uint32_t many[] = { AC_EVENT_RELEASE, AC_EVENT_RESPONSE, AC_EVENT_WRITE, AC_EVENT_READ, AC_EVENT_END };
	struct event_filter filter;
	struct fault fault;

	assert_int_equal(event_filter_read(&filter, request, &fault), 0);
	for (uint32_t type = 0; type < AC_EVENT_MAX; type++) {
		struct ac_event event = record(type);
		bool is_many = false;

		for (size_t i = 0; i < AC_ARRAY_SIZE(many); i++)
			is_many |= many[i] == type;
		assert_int_equal(event_filter_wants(&filter, &event, ""), !is_many);
	}
	json_decref(request);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_type_has_its_members),
		cmocka_unit_test(nonsense_is_shown_as_null),
		cmocka_unit_test(filters),
		cmocka_unit_test(types_by_default),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
