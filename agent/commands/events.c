/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* autocork events and autocork explain: what happens to flows, as it happens. */
#include <autocork/flow.h>
#include <stdint.h>
#include <string.h>

#include "cli/client.h"
#include "cli/fold.h"
#include "cli/options.h"
#include "commands/commands.h"
#include "lib/json.h"
#include "telemetry/event_format.h"
#include "telemetry/explanation.h"

#define MANAGED_FLOWS 1024 /* of others, what is told may be told twice */
#define ENOUGH 1	   /* what the visitor returns when it has seen as many as were asked for */

struct listening {
	const struct cli *cli;
	json_t *request;
	long count; /* 0 = for ever */
	bool explain;
	json_int_t managed[MANAGED_FLOWS]; /* cookies of flows whose releases were told */
};

static void take_type(const struct argp_state *state, char *name, void *input)
{
	struct listening *listening = input;
	json_t *types = json_object_get(listening->request, "types");

	if (event_type_find(name) == AC_EVENT_MAX)
		argp_error(state, "--type %s: no such type: they are listed at the end of --help", name);
	if (!types) {
		types = json_array();
		json_object_set_new(listening->request, "types", types);
	}
	json_array_append_new(types, json_string(name));
}

#define IN(name) CLI_IN(struct listening, request, name)
/* clang-format off */
#define FILTERS                                                                                                  \
	CLI_FLOW_PORT(IN("port")),                                                                               \
	CLI_FLOW_PROGRAM(IN("program")),                                                                         \
	{ "unit", 'u', "PATTERN", "Only flows of systemd units that match the shell pattern", CLI_TEXT,          \
	  IN("unit") },                                                                                          \
	{ "cgroup", 'g', "PATH", "Only flows of this control group (/system.slice/nginx.service)", CLI_TEXT,     \
	  IN("cgroup") },                                                                                        \
	{ "address", 'a', "ADDRESS", "Only flows from or to this IP address", CLI_TEXT, IN("address") },         \
	{ "netns", 'N', "INODE", "Only flows of this network namespace (ls -i /proc/PID/ns/net)", CLI_NUMBER,    \
	  .low = 1, .high = UINT32_MAX, IN("netns") },                                                           \
	{ "count", 'n', "N", "End after N events", CLI_NUMBER, .low = 1, .high = 1e9,                            \
	  CLI_AT(struct listening, count) }
/* clang-format on */

static const struct cli_option events_options[] = {
	FILTERS,
	{ "type", 't', "TYPE", "Only events of this type; may be given again", CLI_OTHER, .take = take_type },
	{ 0 },
};

static const struct cli_option explain_options[] = { FILTERS, { 0 } };

#define X(id, name, text) "  " name ": " text "\n"
static const struct cli_syntax events_syntax = {
	.options = events_options,
	.doc = "Shows what happens to flows, as it happens; a line or a JSON object each, until interrupted.\n"
	       "\n"
	       "Examples:\n"
	       "  autocork events --port 80\n"
	       "  autocork events --type miss --type backoff\n"
	       "  autocork events --json | jq 'select(.type == \"flow_closed\")'\n"
	       "\v"
	       /* clang-format off */
	       "Without --type: all but release, response, write, read and end, of which there are many. The types:\n"
	       AC_EVENTS(X),
	/* clang-format on */
};

static const struct cli_syntax explain_syntax = {
	.options = explain_options,
	.doc = "Says in words what became of each message: which writes left at once, which waited and for what, which "
	       "were held and why they left. Works for connections that are managed and for those that are not.\n"
	       "\n"
	       "Examples:\n"
	       "  autocork explain --port 80\n"
	       "  autocork explain --program nginx --count 20\n"
	       "\v"
	       /* clang-format off */
	       "Why held writes left:\n"
	       AC_REASONS(X),
	/* clang-format on */
};

#undef X

/* A managed flow's message is told by its release; the response that it is part of would be the same again. */
static bool is_told(struct listening *listening, const json_t *event)
{
	const char *type = json_member_text(event, "type");
	json_int_t cookie = json_number(event, "cookie"), *slot = &listening->managed[(uint64_t)cookie % MANAGED_FLOWS];

	if (!strcmp(type, "release") || !strcmp(type, "miss"))
		*slot = cookie;
	return listening->explain && !strcmp(type, "response") && *slot == cookie;
}

static void explain(const json_t *event)
{
	event_print_flow(stdout, event);
	fputs("  ", stdout);
	explanation_print(stdout, event);
	fputs(".\n", stdout);
}

static int visit(json_t *event, void *context)
{
	struct listening *listening = context;

	if (is_told(listening, event))
		return 0;
	if (listening->cli->json)
		json_print(stdout, json_incref(event));
	else if (listening->explain)
		explain(event);
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
	int result;

	if (listening->cli->terminal && !listening->cli->json)
		fputs("Listening; Ctrl-C ends it.\n", stderr);
	result = client_list(listening->cli->control, listening->request, visit, listening, &fault);

	return result < 0 ? cli_fail(listening->cli, &fault) : EXIT_OK;
}

int command_events(struct cli *cli, int argc, char **argv)
{
	struct listening listening = { .cli = cli, .request = json_pack("{ss}", "op", "events") };

	cli_parse(cli, &events_syntax, argc, argv, &listening);
	fold_stdout(cli);
	return listen_to(&listening);
}

int command_explain(struct cli *cli, int argc, char **argv)
{
	struct listening listening = { .cli = cli, .explain = true };

	listening.request =
		json_pack("{ss s[ssss]}", "op", "events", "types", "first_hold", "release", "miss", "response");
	cli_parse(cli, &explain_syntax, argc, argv, &listening);
	fold_stdout(cli);
	return listen_to(&listening);
}
