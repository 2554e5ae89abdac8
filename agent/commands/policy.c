/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* autocork policy check|show. */
#include "policy/set.h"

#include <stdio.h>
#include <stdlib.h>

#include "cli/client.h"
#include "cli/fold.h"
#include "cli/options.h"
#include "commands/commands.h"
#include "lib/json.h"
#include "lib/memory.h"
#include "policy/explain.h"

#define DIRS_MAX 16

struct input {
	const char *dirs[DIRS_MAX + 1];
	size_t dir_count;
	bool origin;
	const char *match;
	char **files;
	size_t file_count;
};

static void take_dir(const struct argp_state *state, char *dir, void *data)
{
	struct input *input = data;

	if (input->dir_count == DIRS_MAX)
		argp_error(state, "--policy-dir %s: more than %d of them", dir, DIRS_MAX);
	input->dirs[input->dir_count++] = dir;
}

static void take_file(struct argp_state *state, char *file, void *data)
{
	struct input *input = data;

	input->files[input->file_count++] = file;
}

#define POLICY_DIR(help) \
	{ \
		"policy-dir", 0, "DIR", help, CLI_OTHER, .take = take_dir \
	}

static const struct cli_option check_options[] = {
	POLICY_DIR("Without FILE: check the *.conf of DIR; may be given again"),
	{ 0 },
};

static const struct cli_syntax check_syntax = {
	.options = check_options,
	.argument = take_file,
	.args_doc = "[FILE...]",
	.doc = "Checks policy files, in the order given, and says for every error where it is, what is wrong and what "
	       "is allowed. Without FILE: the files the agent would read. Exit code 3 if anything is invalid.\n"
	       "\n"
	       "Examples:\n"
	       "  autocork policy check web.conf\n"
	       "  autocork policy check --policy-dir ./policy.d --json\n",
};

/* Parses, and does it. */
static int run(struct cli *cli, const struct cli_syntax *syntax, int (*verb)(const struct cli *, const struct input *),
	       int argc, char **argv)
{
	struct input input = { .files = calloc(argc, sizeof(*input.files)) };
	struct fault fault;
	int code;

	if (!input.files) {
		fault_set(&fault, EXIT_FAILED, "policy: out of memory");
		return cli_fail(cli, &fault);
	}
	cli_parse(cli, syntax, argc, argv, &input);
	code = verb(cli, &input);
	free(input.files);
	return code;
}

static void print_valid(size_t files)
{
	if (files)
		printf("valid: %zu %s\n", files, files == 1 ? "file" : "files");
	else
		puts("valid: no files, so every flow is observed and none is managed");
}

static int check(const struct cli *cli, const struct input *input)
{
	struct policy_errors errors = { 0 };
	struct policy_set *set = NULL;
	struct fault fault = { EXIT_OK };
	int result;

	if (input->file_count)
		result = policy_check_files(input->files, input->file_count, &errors, &fault);
	else
		result = policy_load(&set, input->dir_count ? input->dirs : NULL, &errors, &fault);
	if (result && !errors.count)
		return cli_fail(cli, &fault);
	if (cli->json && !input->file_count && set)
		json_print(stdout, policy_check_json(set->files, set->file_count, &errors));
	else if (cli->json)
		json_print(stdout, policy_check_json(input->files, input->file_count, &errors));
	else if (!result)
		print_valid(set ? set->file_count : input->file_count);
	for (size_t i = 0; i < errors.count && !cli->json; i++) {
		const struct policy_error *error = &errors.list[i];

		char *line = error->line ? memory_format("%s:%d: %s", error->file, error->line, error->what) :
					   memory_format("%s: %s", error->file, error->what);

		cli_complain("", line);
		free(line);
	}
	policy_errors_free(&errors);
	policy_set_free(set);
	return result ? fault.exit_code : EXIT_OK;
}

static int policy_check(struct cli *cli, int argc, char **argv)
{
	return run(cli, &check_syntax, check, argc, argv);
}

static const struct cli_option show_options[] = {
	{ "origin", 0, 0, "Say for every value which file and line set it", CLI_FLAG, CLI_AT(struct input, origin) },
	{ "match", 0, "FLOW",
	  "Show which policy takes a flow, and in what the others differ; FLOW is 'port=N side=server|client "
	  "peer=ADDRESS program=NAME cgroup=/PATH', all but the port optional",
	  CLI_TEXT, CLI_AT(struct input, match) },
	POLICY_DIR("Show what the *.conf of DIR say instead of asking the agent; may be given again"),
	{ 0 },
};

static const struct cli_syntax show_syntax = {
	.options = show_options,
	.argument = take_file,
	.doc = "Shows the policies in force. Where no agent runs: what it would put in force.\n"
	       "\n"
	       "Examples:\n"
	       "  autocork policy show --origin\n"
	       "  autocork policy show --policy-dir ./policy.d\n"
	       "  autocork policy show --match 'port=443 program=nginx peer=10.0.0.1'\n",
};

/* The agent's policies if one listens there, else those of the files. */
static int get_policies(const struct cli *cli, const struct input *input, json_t **shown, struct fault *fault)
{
	struct policy_set *set;
	int result = 0;

	if (!input->dir_count && client_listens(cli->control))
		return client_call(cli->control, json_pack("{ss ss*}", "op", "policy", "match", input->match), shown,
				   fault);
	if (!input->dir_count && !cli->json)
		fprintf(stderr, "No agent listens at %s: this is what the files say.\n", cli->control);
	if (policy_load(&set, input->dir_count ? input->dirs : NULL, NULL, fault))
		return -1;
	if (!input->match)
		*shown = policy_show_json(set);
	else
		result = policy_explain(set, input->match, shown, fault);
	policy_set_free(set);
	return result;
}

static int show(const struct cli *cli, const struct input *input)
{
	struct fault fault;
	json_t *shown;

	if (input->file_count) {
		fault_set(&fault, EXIT_USAGE, "policy show: %s: it takes no files: use --policy-dir DIR",
			  input->files[0]);
		return cli_fail(cli, &fault);
	}
	if (get_policies(cli, input, &shown, &fault))
		return cli_fail(cli, &fault);
	if (cli->json) {
		json_print(stdout, shown);
		return EXIT_OK;
	}
	fold_stdout(cli);
	if (input->match)
		policy_explain_print(stdout, shown);
	else
		policy_show_print(stdout, shown, input->origin);
	json_decref(shown);
	return EXIT_OK;
}

static int policy_show(struct cli *cli, int argc, char **argv)
{
	return run(cli, &show_syntax, show, argc, argv);
}

static const struct command verbs[] = {
	{ "check", "say whether policy files are valid, and what is wrong with them", policy_check, false },
	{ "show", "the policies in force, and where each value comes from", policy_show, false },
};

int command_policy(struct cli *cli, int argc, char **argv)
{
	static const struct command_set set = {
		.name = "autocork policy",
		.doc = "Checks policy files, and shows what is in force.\n"
		       "\n"
		       "Examples:\n"
		       "  autocork policy check web.conf\n"
		       "  autocork policy show --origin\n",
		.list = verbs,
		.count = sizeof(verbs) / sizeof(verbs[0]),
	};

	return cli_dispatch(cli, &set, argc, argv);
}
