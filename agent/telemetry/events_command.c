/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* autocork events and autocork explain: what happens to flows, as it happens. */
#include <string.h>

#include "cli/client.h"
#include "lib/json.h"
#include "telemetry/commands.h"
#include "telemetry/event_format.h"

enum {
	OPTION_PORT = 'p',
	OPTION_PROGRAM = 'P',
	OPTION_UNIT = 'u',
	OPTION_CGROUP = 'g',
	OPTION_ADDRESS = 'a',
	OPTION_NETNS = 'N',
	OPTION_TYPE = 't',
	OPTION_COUNT = 'n',
};

#define ENOUGH 1	/* what the visitor returns when it has seen as many as were asked for */

struct listening {
	const struct cli *cli;
	json_t *request;
	long count;	/* 0 = for ever */
};

#define FILTERS                                                                                                      \
	{ "port", OPTION_PORT, "PORT", 0, "Only flows with this local or remote port", 0 },                         \
	{ "program", OPTION_PROGRAM, "PATTERN", 0, "Only flows of programs that match the shell pattern", 0 },      \
	{ "unit", OPTION_UNIT, "PATTERN", 0, "Only flows of systemd units that match the shell pattern", 0 },       \
	{ "cgroup", OPTION_CGROUP, "PATH", 0, "Only flows of this control group (/system.slice/nginx.service)", 0 }, \
	{ "address", OPTION_ADDRESS, "ADDRESS", 0, "Only flows from or to this IP address", 0 },                    \
	{ "netns", OPTION_NETNS, "INODE", 0, "Only flows of this network namespace (ls -i /proc/PID/ns/net)", 0 },  \
	{ "count", OPTION_COUNT, "N", 0, "End after N events", 0 }

static const struct argp_option events_options[] = {
	FILTERS,
	{ "type", OPTION_TYPE, "TYPE", 0, "Only events of this type; may be given again", 0 },
	{ 0 },
};

static const struct argp_option explain_options[] = { FILTERS, { 0 } };

static void add_text(const struct listening *listening, const struct argp_state *state, const char *name,
		     const char *text)
{
	if (json_object_set_new(listening->request, name, json_string(text)))
		argp_error(state, "--%s %s: not UTF-8", name, text);
}

static void add_type(const struct listening *listening, const struct argp_state *state, const char *name)
{
	json_t *types = json_object_get(listening->request, "types");

	if (event_type_find(name) == AC_EVENT_MAX)
		argp_error(state, "--type %s: no such type: they are listed at the end of --help", name);
	if (!types) {
		types = json_array();
		json_object_set_new(listening->request, "types", types);
	}
	json_array_append_new(types, json_string(name));
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct listening *listening = state->input;

	switch (key) {
	case OPTION_PORT:
		json_object_set_new(listening->request, "port", json_integer(cli_number(state, "port", arg, 1, 65535)));
		return 0;
	case OPTION_NETNS:
		json_object_set_new(listening->request, "netns",
				    json_integer(cli_number(state, "netns", arg, 1, UINT32_MAX)));
		return 0;
	case OPTION_PROGRAM:
		add_text(listening, state, "program", arg);
		return 0;
	case OPTION_UNIT:
		add_text(listening, state, "unit", arg);
		return 0;
	case OPTION_CGROUP:
		add_text(listening, state, "cgroup", arg);
		return 0;
	case OPTION_ADDRESS:
		add_text(listening, state, "address", arg);
		return 0;
	case OPTION_TYPE:
		add_type(listening, state, arg);
		return 0;
	case OPTION_COUNT:
		listening->count = cli_number(state, "count", arg, 1, 1000000000);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

#define X(id, name, text) "  " name ": " text "\n"
static const struct argp events_argp = {
	.options = events_options,
	.parser = parse,
	.doc = "Shows what happens to flows, as it happens; a line or a JSON object each, until interrupted.\n"
	       "\n"
	       "Examples:\n"
	       "  autocork events --port 80\n"
	       "  autocork events --type miss --type backoff\n"
	       "  autocork events --json | jq 'select(.type == \"flow_closed\")'\n"
	       "\v"
	       "Without --type: all but release and response, of which there is one per burst. The types:\n" AC_EVENTS(X),
};
#undef X

static const struct argp explain_argp = {
	.options = explain_options,
	.parser = parse,
	.doc = "Shows each release with its reason, the writes and bytes it let go, and the microseconds they were "
	       "held.\n"
	       "\n"
	       "Examples:\n"
	       "  autocork explain --port 80\n"
	       "  autocork explain --program nginx --count 20\n",
};

static int visit(json_t *event, void *context)
{
	struct listening *listening = context;

	if (listening->cli->json)
		json_print(stdout, json_incref(event));
	else
		event_print(stdout, event, listening->cli->colour);
	/* A stream is read as it comes; a reader that went away ends it. */
	if (fflush(stdout))
		return ENOUGH;
	return listening->count && !--listening->count ? ENOUGH : 0;
}

static int listen_to(struct listening *listening)
{
	struct fault fault;
	int result = client_list(listening->cli->control, listening->request, visit, listening, &fault);

	return result < 0 ? cli_fail(listening->cli, &fault) : EXIT_OK;
}

int telemetry_events(struct cli *cli, int argc, char **argv)
{
	struct listening listening = { .cli = cli, .request = json_pack("{ss}", "op", "events") };

	cli_parse(cli, &events_argp, argc, argv, &listening);
	return listen_to(&listening);
}

int telemetry_explain(struct cli *cli, int argc, char **argv)
{
	struct listening listening = { .cli = cli };

	listening.request = json_pack("{ss s[sss]}", "op", "events", "types", "first_hold", "release", "miss");
	cli_parse(cli, &explain_argp, argc, argv, &listening);
	return listen_to(&listening);
}
