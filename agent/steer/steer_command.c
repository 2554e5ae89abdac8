/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "steer/steer_command.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/client.h"
#include "cli/fold.h"
#include "cli/options.h"
#include "lib/json.h"
#include "lib/table.h"
#include "lib/units.h"
#include "steer/steer.h"
#include "steer/steer_plan.h"

static const char *const mode_words[] = { "auto", "native", "generic", "share", NULL };

struct steer_options {
	const char *action;
	const char *subject; /* interface, or file of export */
	enum steer_attach_mode mode;
	bool force;
	const char *policy; /* directory instead of the usual ones */
};

struct action {
	const char *name;
	enum { SUBJECT_NONE_OR_ONE, SUBJECT_ONE } subject;
	int (*run)(struct cli *cli, const struct steer_options *options, struct fault *fault);
};

static const struct cli_option argp_options[] = {
	{ "mode", 0, "MODE",
	  "attach: auto (native, else generic), native, generic, or share (tables only, for a program that DPDK loads)",
	  CLI_WORD, .words = mode_words, CLI_AT(struct steer_options, mode) },
	{ "policy-dir", 0, "DIR", "attach, apply: read the policy files of this directory instead of the usual ones",
	  CLI_TEXT, CLI_AT(struct steer_options, policy) },
	{ "force", 0, 0, "detach: even while steered connections live; they will be reset", CLI_FLAG,
	  CLI_AT(struct steer_options, force) },
	{ 0 },
};

static void take_word(struct argp_state *state, char *word, void *input)
{
	struct steer_options *options = input;

	if (!options->action)
		options->action = word;
	else if (!options->subject)
		options->subject = word;
	else
		argp_error(state, "%s: one interface at a time", word);
}

static void check(const struct argp_state *state, void *input)
{
	if (!((struct steer_options *)input)->action)
		argp_usage(state);
}

static const struct cli_syntax syntax = {
	.options = argp_options,
	.argument = take_word,
	.check = check,
	.args_doc = "status [INTERFACE]\nattach INTERFACE\napply INTERFACE\ndetach INTERFACE\nexport FILE",
	.doc = "Steers the flows that policies name (steer = af_xdp, dpdk or endpoint) from an interface to AF_XDP sockets. The "
	       "agent does all of it by itself; by hand it works without an agent too.\n"
	       "\n"
	       "Examples:\n"
	       "  autocork steer status               interfaces, consumers, rules, hits\n"
	       "  autocork steer attach eth1          with the rules of the policies\n"
	       "  autocork steer apply eth1           the rules again: they changed\n"
	       "  autocork steer detach eth1\n"
	       "  autocork steer export steer.bpf.o   the program, for DPDK's xdp_prog=\n",
};

static int load(const struct steer_options *options, struct policy_set **set, struct fault *fault)
{
	const char *const dirs[] = { options->policy, NULL };

	return policy_load(set, options->policy ? dirs : NULL, NULL, fault);
}

static int apply(const struct steer_options *options, struct fault *fault)
{
	struct policy_set *set;
	int result;

	if (load(options, &set, fault))
		return -1;
	result = steer_apply(options->subject, set, fault);
	policy_set_free(set);
	return result;
}

static json_int_t sum_of(const json_t *rules, const char *key)
{
	json_int_t sum = 0;
	json_t *rule;
	size_t i;

	json_array_foreach((json_t *)rules, i, rule)
		sum += json_number(rule, key);
	return sum;
}

static void print_rules(const struct cli *cli, const json_t *rules)
{
	static const struct table_column columns[] = {
		{ "POLICY", TABLE_LEFT }, { "STEER", TABLE_LEFT },   { "STATE", TABLE_LEFT },
		{ "FLOWS", TABLE_RIGHT }, { "OPENED", TABLE_RIGHT }, { "PACKETS", TABLE_RIGHT },
		{ "BYTES", TABLE_RIGHT }, { "LOST", TABLE_RIGHT },   { "NO CONSUMER", TABLE_RIGHT },
	};
	struct table *table = table_new(columns, sizeof(columns) / sizeof(columns[0]));
	struct units units;
	json_t *rule;
	size_t i;

	json_array_foreach((json_t *)rules, i, rule) {
		table_cell(table, TABLE_PLAIN, "%s", json_member_text(rule, "policy"));
		table_cell(table, TABLE_PLAIN, "%s", json_member_text(rule, "steer"));
		table_cell(table, strcmp(json_member_text(rule, "state"), "active") ? TABLE_DIM : TABLE_PLAIN, "%s",
			   json_member_text(rule, "state"));
		table_cell(table, TABLE_PLAIN, "%s", units_count(&units, json_number(rule, "flows")));
		table_cell(table, TABLE_PLAIN, "%s", units_count(&units, json_number(rule, "flows_opened")));
		table_cell(table, TABLE_PLAIN, "%s", units_count(&units, json_number(rule, "packets")));
		table_cell(table, TABLE_PLAIN, "%s", units_count(&units, json_number(rule, "bytes")));
		table_cell(table, json_number(rule, "lost") ? TABLE_WARN : TABLE_PLAIN, "%s",
			   units_count(&units, json_number(rule, "lost")));
		table_cell(table, json_number(rule, "no_consumer") ? TABLE_WARN : TABLE_PLAIN, "%s",
			   units_count(&units, json_number(rule, "no_consumer")));
	}
	table_print(table, stdout, cli->colour, cli->width);
	table_free(table);
}

/* Why packets did not reach their consumer. */
static void print_losses(const json_t *packets)
{
	static const char *const texts[] = {
#define X(id, name, text) text,
		STEER_VERDICTS(X)
#undef X
	};

	for (int verdict = STEER_VERDICT_LOST_FIRST; verdict < STEER_VERDICT_MAX; verdict++) {
		json_int_t count = json_number(packets, steer_verdict_names[verdict]);

		if (count)
			printf("  %" PRIdMAX " %s.\n", (intmax_t)count, texts[verdict]);
	}
}

static void print_interface(const struct cli *cli, const json_t *interface)
{
	const json_t *rules = json_object_get(interface, "rules");
	size_t seats = 0, queues, i;
	const char *mode = json_member_text(interface, "mode"), *name;
	json_t *queue, *count;

	if (json_object_get(interface, "error")) {
		printf("%s\n", json_member_text(interface, "error"));
		return;
	}
	json_array_foreach(json_object_get(interface, "queues"), i, queue)
		seats += json_is_true(json_object_get(queue, "consumer"));
	queues = json_array_size(json_object_get(interface, "queues"));
	printf("%s: %s%s%s, a consumer on %zu of %zu queues, %" PRIdMAX " connections\n",
	       json_member_text(interface, "interface"), json_member_text(interface, "state"), *mode ? ", " : "", mode,
	       seats, queues, (intmax_t)json_number(interface, "flows"));
	printf("  packets:");
	json_object_foreach(json_object_get(interface, "packets"), name, count)
		if (json_integer_value(count))
			printf(" %s %" PRIdMAX, name, (intmax_t)json_integer_value(count));
	putchar('\n');
	if (json_array_size(rules))
		print_rules(cli, rules);
	else
		puts("  no rule: every packet goes to the kernel");
	print_losses(json_object_get(interface, "packets"));
	if (sum_of(rules, "no_consumer") && !seats)
		printf("  Nobody has an AF_XDP socket on %s: what the rules name goes to the kernel.\n",
		       json_member_text(interface, "interface"));
}

static int run_status(struct cli *cli, const struct steer_options *options, struct fault *fault)
{
	json_t *status = steer_status(options->subject, fault), *interface, *list;
	size_t i;

	if (!status)
		return -1;
	if (cli->json) {
		json_print(stdout, status);
		return 0;
	}
	fold_stdout(cli);
	list = json_object_get(status, "interfaces");
	json_array_foreach(list, i, interface)
		print_interface(cli, interface);
	if (!json_array_size(list))
		puts("Nothing is steered. A policy with `steer = af_xdp` and `interface =`, or `autocork steer "
		     "attach`, changes that.");
	json_decref(status);
	return 0;
}

/* A program without rules costs every packet something, and steers none. */
static int refuse_without_rules(const struct steer_options *options, struct fault *fault)
{
	const char *interface = options->subject;
	struct steer_plan plan;
	struct policy_set *set;
	int result;

	/* One that does not exist is steer_attach()'s to explain. */
	if (!if_nametoindex(interface))
		return 0;
	if (load(options, &set, fault))
		return -1;
	result = plan_make(&plan, set, interface, fault);
	if (!result && !plan.rule_count)
		result =
			fault_set(fault, EXIT_CONFIG,
				  "%s: no policy steers it: write one with `steer = af_xdp` and `interface = %s` first "
				  "(docs/steering.md)",
				  interface, interface);
	plan_free(&plan);
	policy_set_free(set);
	return result;
}

static int run_attach(struct cli *cli, const struct steer_options *options, struct fault *fault)
{
	if (refuse_without_rules(options, fault) || steer_attach(options->subject, options->mode, fault) ||
	    apply(options, fault))
		return -1;
	return run_status(cli, options, fault);
}

static int run_apply(struct cli *cli, const struct steer_options *options, struct fault *fault)
{
	return apply(options, fault) ?: run_status(cli, options, fault);
}

/* The agent of this machine keeps what its policies say: it attaches the program again. */
static void warn_of_agent(const struct cli *cli, const char *interface)
{
	json_t *status, *steered;
	struct fault ignored;
	size_t i;

	if (!client_listens(cli->control) ||
	    client_call(cli->control, json_pack("{ss}", "op", "status"), &status, &ignored))
		return;
	json_array_foreach(json_object_get(status, "steer"), i, steered) {
		if (!strcmp(json_member_text(steered, "interface"), interface))
			fprintf(stderr,
				"autocork: warning: %s: autocorkd (pid %" PRIdMAX ") steers it and attaches it again: "
				"take `steer =` out of its policies, then autocork reload\n",
				interface, (intmax_t)json_number(json_object_get(status, "agent"), "pid"));
	}
	json_decref(status);
}

static int run_detach(struct cli *cli, const struct steer_options *options, struct fault *fault)
{
	warn_of_agent(cli, options->subject);
	if (steer_detach(options->subject, options->force, fault))
		return -1;
	if (cli->json)
		json_print(stdout, json_pack("{so}", "detached", json_text_or_null(options->subject)));
	else
		printf("%s: detached\n", options->subject);
	return 0;
}

static int run_export(struct cli *cli, const struct steer_options *options, struct fault *fault)
{
	if (steer_export(options->subject, fault))
		return -1;
	if (cli->json)
		json_print(stdout, json_pack("{so}", "file", json_text_or_null(options->subject)));
	return 0;
}

static const struct action actions[] = {
	{ "status", SUBJECT_NONE_OR_ONE, run_status }, { "attach", SUBJECT_ONE, run_attach },
	{ "apply", SUBJECT_ONE, run_apply },	       { "detach", SUBJECT_ONE, run_detach },
	{ "export", SUBJECT_ONE, run_export },
};

int steer_command(struct cli *cli, int argc, char **argv)
{
	struct steer_options options = { 0 };
	const struct action *action = NULL;
	struct fault fault;

	cli_parse(cli, &syntax, argc, argv, &options);
	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
		if (!strcmp(actions[i].name, options.action))
			action = &actions[i];
	if (!action)
		fault_set(&fault, EXIT_USAGE, "steer %s: not an action: use status, attach, apply, detach or export",
			  options.action);
	else if (action->subject == SUBJECT_ONE && !options.subject)
		fault_set(&fault, EXIT_USAGE, "steer %s: it needs a name: see `autocork steer --help`", action->name);
	else if (!action->run(cli, &options, &fault))
		return EXIT_OK;
	return cli_fail(cli, &fault);
}
