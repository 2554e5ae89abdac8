/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* autocork trial: has the agent try a policy for a while, and says what it was worth. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/client.h"
#include "cli/options.h"
#include "commands/commands.h"
#include "lib/json.h"
#include "lib/table.h"
#include "lib/units.h"

#define DONE 1	/* what the visitor returns at the end: no error, no more to come */

struct course {
	const struct cli *cli;
	json_t *request;
	int result;
	struct fault *fault;
	char phase[8];	/* that was printed last */
};

static void take_delay(const struct argp_state *state, char *arg, void *input)
{
	struct course *course = input;

	json_object_set_new(course->request, "max_delay_us",
			    json_real(cli_seconds(state, "max-delay", arg, 0.0001, 1) * 1e6));
}

static void check(const struct argp_state *state, void *input)
{
	if (!json_object_get(((struct course *)input)->request, "port"))
		argp_error(state, "--port is missing: which service is to be tried?");
}

static const char *const sides[] = { "server", "client", NULL };

static const struct cli_option options[] = {
	CLI_PORT("The service's port (needed)", CLI_IN(struct course, request, "port")),
	CLI_FOR(1, "How long to try it (default 60s)", CLI_IN(struct course, request, "seconds")),
	{ "program", 'P', "NAME", "Only flows of this program", CLI_TEXT, CLI_IN(struct course, request, "program") },
	{ "side", 's', "SIDE", "Only server or client", CLI_WORD, .words = sides,
	  CLI_IN(struct course, request, "side") },
	{ "max-delay", 'd', "TIME", "End it when 1% of the bursts are delayed by more (default 10ms)", CLI_OTHER,
	  .take = take_delay },
	{ 0 },
};

static const struct cli_syntax syntax = {
	.options = options,
	.check = check,
	.doc = "Watches a service for a quarter of the time, then has the agent manage it, compares, and takes the "
	       "policy back. It ends early when more segments are sent again, when bursts are delayed for longer, when "
	       "more than 5% of them miss, and when this command is interrupted. Exit code 1 unless nothing got "
	       "worse and enough was written to tell.\n"
	       "\n"
	       "Examples:\n"
	       "  autocork trial --port 80 --for 60s\n"
	       "  autocork trial --port 80 --program nginx --side server --json\n",
};

static double share(const json_t *object, const char *key)
{
	return json_number_value(json_object_get(object, key));
}

/* On a terminal one line for each phase, written over as it goes on. */
static void print_phase(struct course *course, const char *name, const json_t *counts)
{
	struct units units;

	if (course->cli->terminal)
		fputs(!*course->phase || !strcmp(course->phase, name) ? "\r" : "\n", stdout);
	snprintf(course->phase, sizeof(course->phase), "%s", name);
	printf("%-7s %4.0f s  %s writes", name, share(counts, "seconds"),
	       units_count(&units, json_number(counts, "writes")));
	printf(", %.1f%% %s", share(counts, "saved_share") * 100,
	       json_number(counts, "held") ? "saved" : "could be saved");
	printf(", %s misses", units_count(&units, json_number(counts, "misses")));
	printf(", p99 of the delay %s%s", units_delay(&units, share(counts, "hold_p99_us")),
	       course->cli->terminal ? "\033[K" : "\n");
	fflush(stdout);
}

/* What the agent says that it did. */
static const char *whereabouts(const json_t *item)
{
	return json_is_true(json_object_get(item, "taken_back")) ?
		       "The policy is taken back" :
		       "The policy could NOT be taken back and is still in force: see the agent's log, then autocork reload";
}

static void print_end(struct course *course, const json_t *item)
{
	const json_t *trial = json_object_get(item, "trial"), *segments = json_object_get(item, "segments_per_burst");
	const char *verdict = json_member_text(item, "verdict");
	struct units units;

	print_phase(course, "trial", trial);
	if (course->cli->terminal)
		putchar('\n');
	if (!strcmp(verdict, "idle")) {
		printf("\nToo little was written to tell. %s; try again while the service is busy "
		       "(autocork status names its port).\n", whereabouts(item));
		return;
	}
	printf("\n%s packets were saved, %.1f%% of the writes; %.1f%% were predicted.\n",
	       units_count(&units, json_number(trial, "held")), share(item, "saved_share") * 100,
	       share(item, "predicted_saved_share") * 100);
	if (share(segments, "trial") > 0)
		printf("A burst left in %.2f segments; in %.2f before, and in %.2f as predicted.\n",
		       share(segments, "trial"), share(segments, "before"), share(segments, "predicted"));
	if (strcmp(verdict, "good"))
		printf("It got worse (%s)%s.", verdict,
		       json_is_true(json_object_get(item, "early")) ? ", so it was ended early" : "");
	else
		fputs("Nothing got worse.", stdout);
	printf(" %s; autocork advise --emit writes a lasting one.\n", whereabouts(item));
}

static int visit(json_t *item, void *context)
{
	struct course *course = context;
	const char *phase = json_member_text(item, "phase");

	if (!strcmp(phase, "failed"))
		return fault_set(course->fault, EXIT_FAILED, "trial: %s: %s", json_member_text(item, "error"),
				 json_is_true(json_object_get(item, "taken_back")) ? "nothing of it is in force: see the agent's log"
										   : whereabouts(item));
	if (course->cli->json) {
		json_print(stdout, json_incref(item));
		fflush(stdout);
	} else if (!strcmp(phase, "done")) {
		print_end(course, item);
	} else {
		print_phase(course, phase, json_object_get(item, "counts"));
	}
	if (strcmp(phase, "done"))
		return 0;
	course->result = strcmp(json_member_text(item, "verdict"), "good") ||
					 !json_is_true(json_object_get(item, "taken_back")) ?
				 EXIT_FAILED :
				 EXIT_OK;
	return DONE;
}

int command_trial(struct cli *cli, int argc, char **argv)
{
	struct fault fault;
	struct course course = { .cli = cli, .request = json_pack("{ss sf}", "op", "trial", "seconds", 60.0),
				 .result = EXIT_FAILED, .fault = &fault };
	int result;

	cli_parse(cli, &syntax, argc, argv, &course);
	result = client_list(cli->control, course.request, visit, &course, &fault);
	return result < 0 ? cli_fail(cli, &fault) : course.result;
}
