/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/json.h"
#include "lib/paths.h"

enum { OPTION_HELP = 'h', OPTION_JSON = 0x100, OPTION_CONTROL };

static const struct argp_option common_options[] = {
	{ 0, 0, 0, 0, "Common options:", 10 },
	{ "json", OPTION_JSON, 0, 0, "Print JSON: one object, or one per line", 10 },
	{ "control", OPTION_CONTROL, "PATH", 0, "Control socket of the agent (default " AUTOCORK_CONTROL ")", 10 },
	{ 0, OPTION_HELP, 0, OPTION_HIDDEN, 0, 10 },
	{ 0 },
};

struct common_input {
	struct cli *cli;
	void *own;
};

static error_t parse_common(int key, char *arg, struct argp_state *state)
{
	struct common_input *input = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = input->own;
		return 0;
	case OPTION_JSON:
		input->cli->json = true;
		return 0;
	case OPTION_CONTROL:
		input->cli->control = arg;
		return 0;
	case OPTION_HELP:
		argp_state_help(state, stdout, ARGP_HELP_STD_HELP);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

void cli_parse(struct cli *cli, const struct argp *own, int argc, char **argv, void *input)
{
	/* The texts belong to the root parser: argp prints those of its children in an order of its own. */
	struct argp child = own ? *own : (struct argp){ 0 };
	struct argp_child children[] = { { &child, 0, 0, 0 }, { 0 } };
	struct argp root = {
		.options = common_options,
		.parser = parse_common,
		.args_doc = child.args_doc,
		.doc = child.doc,
		.children = children,
	};
	struct common_input common = { cli, input };

	child.args_doc = child.doc = NULL;
	/* In order: what follows the name of a sub-subcommand (`bench client …`) is for that one to parse. */
	argp_parse(&root, argc, argv, ARGP_IN_ORDER, NULL, &common);
}

int cli_fail(const struct cli *cli, const struct fault *fault)
{
	if (cli->json)
		json_print(stdout, json_fault(fault));
	else
		fprintf(stderr, "autocork: %s\n", fault->text);
	return fault->exit_code;
}

long cli_number(const struct argp_state *state, const char *option, const char *text, long low, long high)
{
	char *end;
	long value;

	errno = 0;
	value = strtol(text, &end, 10);
	if (errno || end == text || *end || value < low || value > high)
		argp_error(state, "--%s %s: not a whole number from %ld to %ld", option, text, low, high);
	return value;
}
