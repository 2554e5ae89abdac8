/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* autocork trial: has the agent try a policy for a while, and says what it was worth. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/client.h"
#include "cli/fold.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "commands/commands.h"
#include "commands/trial_times.h"
#include "lib/json.h"
#include "lib/table.h"
#include "lib/units.h"

#define DONE 1 /* what the visitor returns at the end: no error, no more to come */

struct course {
	const struct cli *cli;
	json_t *request;
	int result;
	struct fault *fault;
	char phase[8]; /* that was printed last */
	struct trial_times_result times[TRIAL_TIMES_PHASES];
	bool listening; /* to the responses */
	bool timed;	/* there are enough of both */
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
	CLI_FOR(1, "How long it takes in all, at least 4s (default 60s)", CLI_IN(struct course, request, "seconds")),
	{ "program", 'P', "NAME", "Only flows of this program", CLI_TEXT, CLI_IN(struct course, request, "program") },
	{ "side", 's', "SIDE", "Only server or client", CLI_WORD, .words = sides,
	  CLI_IN(struct course, request, "side") },
	{ "max-delay", 'd', "TIME", "End it when 1% of the messages are delayed by more (default 10ms)", CLI_OTHER,
	  .take = take_delay },
	{ 0 },
};

static const struct cli_syntax syntax = {
	.options = options,
	.check = check,
	.doc = "Watches a service for a quarter of the time, then has the agent manage it, compares, and takes the "
	       "policy back. It ends with both side by side. It ends early when more segments are sent again, when "
	       "messages are delayed for longer, when more than 5% of them are held too long, and at Ctrl-C. Exit code "
	       "1 unless nothing got worse and enough was written to tell.\n"
	       "\n"
	       "Examples:\n"
	       "  autocork trial --port 80 --for 60s\n"
	       "  autocork trial --port 80 --program nginx --side server --json\n"
	       "\v"
	       "RESPONSE p50 and p99 are the time from the first write of a response (on a client's side: a request) until "
	       "its last part has left, of at most 5,000 responses before and 5,000 within the trial. CPU is what all CPUs "
	       "of the machine worked, for each message.",
};

static double share(const json_t *object, const char *key)
{
	return json_number_value(json_object_get(object, key));
}

/* On a terminal one line for each phase, written over as it goes on: it must not be wider. */
static void print_phase(struct course *course, const char *name, const json_t *counts)
{
	struct units writes, misses, delay;
	bool held = json_number(counts, "held");
	char text[160];
	size_t width = course->cli->width ?: sizeof(text);

	snprintf(text, sizeof(text), "%-7s %4.0f s  %s writes, %.1f%% %s", name, share(counts, "seconds"),
		 units_count(&writes, json_number(counts, "writes")), share(counts, "saved_share") * 100,
		 held ? "saved" : "could be saved");
	if (held)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), ", %s held too long, delay p99 %s",
			 units_count(&misses, json_number(counts, "misses")),
			 units_delay(&delay, share(counts, "hold_p99_us")));
	if (course->cli->terminal)
		fputs(!*course->phase || !strcmp(course->phase, name) ? "\r" : "\n", stdout);
	snprintf(course->phase, sizeof(course->phase), "%s", name);
	printf("%.*s%s", (int)width - 1, text, course->cli->terminal ? "\033[K" : "\n");
	fflush(stdout);
}

/* What the agent says that it did. */
static const char *whereabouts(const json_t *item)
{
	return json_is_true(json_object_get(item, "taken_back")) ?
		       "The policy is taken back" :
		       "The policy could NOT be taken back and is still in force: see the agent's log, then autocork reload";
}

static void row(struct table *table, const char *title)
{
	table_cell(table, TABLE_PLAIN, "%s", title);
}

static void time_cells(struct table *table, const char *title, double before_us, double trial_us)
{
	struct units units;

	row(table, title);
	table_cell(table, TABLE_PLAIN, "%s", units_delay(&units, before_us));
	table_cell(table, trial_us < before_us * 0.9 ? TABLE_GOOD : TABLE_PLAIN, "%s", units_delay(&units, trial_us));
}

static double per_message(const json_t *phase, const char *key)
{
	json_int_t messages = json_number(phase, "bursts");

	return messages ? share(phase, key) / messages : 0;
}

/* Before and after: time, then packets, then CPU. */
static void print_comparison(const struct course *course, const json_t *item)
{
	static const struct table_column columns[] = {
		{ "FOR EACH MESSAGE", TABLE_LEFT },
		{ "BEFORE", TABLE_RIGHT },
		{ "TRIAL", TABLE_RIGHT },
	};
	const json_t *before = json_object_get(item, "before"), *trial = json_object_get(item, "trial");
	const json_t *segments = json_object_get(item, "segments_per_burst");
	struct table *table = table_new(columns, sizeof(columns) / sizeof(columns[0]));
	const struct trial_times_result *then = &course->times[TRIAL_TIMES_BEFORE],
					*now = &course->times[TRIAL_TIMES_TRIAL];

	if (course->timed) {
		time_cells(table, "response p50", then->p50_us, now->p50_us);
		time_cells(table, "response p99", then->p99_us, now->p99_us);
	}
	row(table, "packets");
	table_cell(table, TABLE_PLAIN, "%.2f", share(segments, "before"));
	table_cell(table, share(segments, "trial") < share(segments, "before") * 0.9 ? TABLE_GOOD : TABLE_PLAIN, "%.2f",
		   share(segments, "trial"));
	time_cells(table, "CPU (machine)", per_message(before, "cpu_seconds") * 1e6,
		   per_message(trial, "cpu_seconds") * 1e6);
	putchar('\n');
	table_print(table, stdout, course->cli->colour, course->cli->width);
	table_free(table);
}

static void print_end(struct course *course, const json_t *item)
{
	const json_t *trial = json_object_get(item, "trial");
	const char *verdict = json_member_text(item, "verdict");
	struct units units;

	print_phase(course, "trial", trial);
	if (course->cli->terminal)
		putchar('\n');
	if (!strcmp(verdict, "idle")) {
		printf("\nToo little was written to tell. %s; try again while the service is busy "
		       "(autocork status names its port).\n",
		       whereabouts(item));
		return;
	}
	printf("\n%s packets were saved, %.1f%% of the writes; %.1f%% were predicted.\n",
	       units_count(&units, json_number(trial, "held")), share(item, "saved_share") * 100,
	       share(item, "predicted_saved_share") * 100);
	print_comparison(course, item);
	putchar('\n');
	if (!json_is_true(json_object_get(item, "gain")) && !strcmp(verdict, "good")) {
		printf("Nothing to gain: the messages of this service need no fewer packets and wait no less. %s.\n",
		       whereabouts(item));
		return;
	}
	if (strcmp(verdict, "good"))
		printf("It got worse (%s)%s.", verdict,
		       json_is_true(json_object_get(item, "early")) ? ", so it was ended early" : "");
	else
		fputs("Nothing got worse.", stdout);
	printf(" %s.\nautocork advise --emit writes a lasting one.\n", whereabouts(item));
}

static json_t *times_json(const struct trial_times_result *times)
{
	return json_pack("{sI sf sf}", "responses", (json_int_t)times->count, "p50_us", times->p50_us, "p99_us",
			 times->p99_us);
}

/* The responses' times, which only this program knows, go into the last item. */
static void add_times(struct course *course, json_t *item)
{
	struct trial_times_result *before = &course->times[TRIAL_TIMES_BEFORE],
				  *trial = &course->times[TRIAL_TIMES_TRIAL];
	bool both = trial_times_read(TRIAL_TIMES_BEFORE, before);

	course->timed = trial_times_read(TRIAL_TIMES_TRIAL, trial) && both;
	json_object_set_new(item, "response",
			    course->timed ?
				    json_pack("{so so}", "before", times_json(before), "trial", times_json(trial)) :
				    json_null());
}

/* Once the agent has begun. */
static void start_times(const struct course *course)
{
	const json_t *request = course->request;

	trial_times_start(&(struct trial_times_of){ course->cli->control, json_number(request, "port"),
						    json_string_value(json_object_get(request, "side")),
						    json_string_value(json_object_get(request, "program")) });
}

static int visit(json_t *item, void *context)
{
	struct course *course = context;
	const char *phase = json_member_text(item, "phase");

	if (!strcmp(phase, "failed"))
		return fault_set(course->fault, EXIT_FAILED, "trial: %s: %s", json_member_text(item, "error"),
				 json_is_true(json_object_get(item, "taken_back")) ?
					 "nothing of it is in force: see the agent's log" :
					 whereabouts(item));
	if (!strcmp(phase, "before") && !course->listening) {
		start_times(course);
		course->listening = true;
	}
	if (!strcmp(phase, "trial"))
		trial_times_enter(TRIAL_TIMES_TRIAL);
	if (!strcmp(phase, "done"))
		add_times(course, item);
	if (course->cli->json) {
		json_print(stdout, json_incref(item));
		fflush(stdout);
	} else if (!strcmp(phase, "done")) {
		print_end(course, item);
	} else if (!strcmp(phase, "interrupted")) {
		printf("%sInterrupted. %s.\n", course->cli->terminal ? "\n" : "", whereabouts(item));
	} else {
		print_phase(course, phase, json_object_get(item, "counts"));
	}
	if (!strcmp(phase, "interrupted"))
		return DONE;
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
	static json_t *kept __attribute__((used));
	struct fault fault;
	struct course course = { .cli = cli,
				 .request = json_pack("{ss sf}", "op", "trial", "seconds", 60.0),
				 .result = EXIT_FAILED,
				 .fault = &fault };
	int result;

	cli_parse(cli, &syntax, argc, argv, &course);
	fold_stdout(cli);
	/* Sending it frees it; the thread needs its strings until the end of the process. */
	kept = json_incref(course.request);
	/* The agent ends it by itself; the time is only a bound. */
	result = client_watch(cli->control, course.request, 2 * CLI_DAY_S, visit, &course, &fault);
	interrupt_finish();
	return result < 0 ? cli_fail(cli, &fault) : course.result;
}
