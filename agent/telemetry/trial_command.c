/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* autocork trial: has the agent try a policy for a while, and says what it was worth. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/client.h"
#include "lib/json.h"
#include "lib/table.h"
#include "lib/units.h"
#include "telemetry/commands.h"

enum { OPTION_PORT = 'p', OPTION_FOR = 'f', OPTION_PROGRAM = 'P', OPTION_SIDE = 's', OPTION_DELAY = 'd' };

#define DONE 1	/* what the visitor returns at the end: no error, no more to come */

struct course {
	const struct cli *cli;
	json_t *request;
	int result;
	struct fault *fault;
};

static const struct argp_option options[] = {
	{ "port", OPTION_PORT, "PORT", 0, "The service's port (needed)", 0 },
	{ "for", OPTION_FOR, "TIME", 0, "How long to try it (default 60s)", 0 },
	{ "program", OPTION_PROGRAM, "NAME", 0, "Only flows of this program", 0 },
	{ "side", OPTION_SIDE, "SIDE", 0, "Only server or client", 0 },
	{ "max-delay", OPTION_DELAY, "TIME", 0, "End it when 1% of the bursts are delayed by more (default 10ms)", 0 },
	{ 0 },
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct course *course = state->input;

	switch (key) {
	case OPTION_PORT:
		json_object_set_new(course->request, "port", json_integer(cli_number(state, "port", arg, 1, 65535)));
		return 0;
	case OPTION_FOR:
		json_object_set_new(course->request, "seconds",
				    json_real(argument_seconds(state, "for", arg, 1, 86400)));
		return 0;
	case OPTION_PROGRAM:
		if (json_object_set_new(course->request, "program", json_string(arg)))
			argp_error(state, "--program %s: not UTF-8", arg);
		return 0;
	case OPTION_SIDE:
		if (strcmp(arg, "server") && strcmp(arg, "client"))
			argp_error(state, "--side %s: server or client", arg);
		json_object_set_new(course->request, "side", json_string(arg));
		return 0;
	case OPTION_DELAY:
		json_object_set_new(course->request, "max_delay_us",
				    json_real(argument_seconds(state, "max-delay", arg, 0.0001, 1) * 1e6));
		return 0;
	case ARGP_KEY_END:
		if (!json_object_get(course->request, "port"))
			argp_error(state, "--port is missing: which service is to be tried?");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.doc = "Watches a service for a quarter of the time, then has the agent manage it, compares, and takes the "
	       "policy back. It "
	       "ends early when more segments are sent again, when bursts are delayed for longer, when more than 5% of "
	       "them miss, "
	       "and when this command is interrupted.\n"
	       "\n"
	       "Examples:\n"
	       "  autocork trial --port 80 --for 60s\n"
	       "  autocork trial --port 80 --program nginx --side server --json\n",
};

static double share(const json_t *object, const char *key)
{
	return json_number_value(json_object_get(object, key));
}

static void print_phase(const char *name, const json_t *counts)
{
	struct units units;

	printf("%-7s %4.0f s  %s writes", name, share(counts, "seconds"),
	       units_count(&units, json_number(counts, "writes")));
	printf(", %.1f%% %s", share(counts, "saved_share") * 100,
	       json_number(counts, "held") ? "saved" : "could be saved");
	printf(", %s misses", units_count(&units, json_number(counts, "misses")));
	printf(", p99 of the delay %s\n", units_delay(&units, share(counts, "hold_p99_us")));
	fflush(stdout);
}

static void print_end(const json_t *item)
{
	const json_t *trial = json_object_get(item, "trial"), *segments = json_object_get(item, "segments_per_burst");
	const char *verdict = json_member_text(item, "verdict");
	struct units units;

	print_phase("trial", trial);
	printf("\n%s packets were saved, %.1f%% of the writes; %.1f%% were predicted.\n",
	       units_count(&units, json_number(trial, "held")), share(item, "saved_share") * 100,
	       share(item, "predicted_saved_share") * 100);
	if (share(segments, "trial") > 0)
		printf("A burst left in %.2f segments; in %.2f before, and in %.2f as predicted.\n", share(segments, "trial"),
		       share(segments, "before"), share(segments, "predicted"));
	if (strcmp(verdict, "good"))
		printf("It got worse (%s)%s.", verdict,
		       json_is_true(json_object_get(item, "early")) ? ", so it was ended early" : "");
	else
		fputs("Nothing got worse.", stdout);
	puts(" The policy is taken back; autocork advise --emit writes a lasting one.");
}

static int visit(json_t *item, void *context)
{
	struct course *course = context;
	const char *phase = json_member_text(item, "phase");

	if (!strcmp(phase, "failed"))
		return fault_set(course->fault, EXIT_FAILED, "trial: %s: see the agent's log",
				 json_member_text(item, "error"));
	if (course->cli->json) {
		json_print(stdout, json_incref(item));
		fflush(stdout);
	} else if (!strcmp(phase, "done")) {
		print_end(item);
	} else {
		print_phase(phase, json_object_get(item, "counts"));
	}
	if (strcmp(phase, "done"))
		return 0;
	course->result = strcmp(json_member_text(item, "verdict"), "good") ? EXIT_FAILED : EXIT_OK;
	return DONE;
}

int telemetry_trial(struct cli *cli, int argc, char **argv)
{
	struct fault fault;
	struct course course = { .cli = cli, .request = json_pack("{ss sf}", "op", "trial", "seconds", 60.0),
				 .result = EXIT_FAILED, .fault = &fault };
	int result;

	cli_parse(cli, &argp, argc, argv, &course);
	result = client_list(cli->control, course.request, visit, &course, &fault);
	return result < 0 ? cli_fail(cli, &fault) : course.result;
}
