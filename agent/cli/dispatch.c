/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Finding the command that the next word names. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "lib/paths.h"

enum { OPTION_HELP = 'h', OPTION_JSON = 0x100, OPTION_CONTROL };

static const struct argp_option options[] = {
	{ 0, 0, 0, 0, "Common options:", 0 },
	{ "json", OPTION_JSON, 0, 0, "Print JSON: one object, or one per line", 0 },
	{ "control", OPTION_CONTROL, "PATH", 0, "Control socket of the agent (default " AUTOCORK_CONTROL ")", 0 },
	{ 0, OPTION_HELP, 0, OPTION_HIDDEN, 0, 0 },
	{ 0 },
};

struct found {
	struct cli *cli;
	const struct command_set *set;
	const struct command *command;
	int at;		/* index of the command's name in argv */
};

static const struct command *find_command(const struct command_set *set, const char *name)
{
	for (size_t i = 0; i < set->count; i++)
		if (!strcmp(set->list[i].name, name))
			return &set->list[i];
	return NULL;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct found *found = state->input;

	switch (key) {
	case OPTION_JSON:
		found->cli->json = true;
		return 0;
	case OPTION_CONTROL:
		found->cli->control = arg;
		return 0;
	case OPTION_HELP:
		argp_state_help(state, stdout, ARGP_HELP_STD_HELP);
		return 0;
	case ARGP_KEY_ARG:
		found->command = find_command(found->set, arg);
		if (!found->command)
			argp_error(state, "%s: no such command: see the list in %s --help", arg, found->set->name);
		/* The rest is the command's own. */
		found->at = state->next - 1;
		state->next = state->argc;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_usage(state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static void list(FILE *out, const struct command_set *set, const char *title, bool needs_agent)
{
	bool any = false;

	for (size_t i = 0; i < set->count; i++) {
		const struct command *command = &set->list[i];

		if (command->needs_agent != needs_agent)
			continue;
		if (!any)
			fputs(title, out);
		any = true;
		fprintf(out, "  %-10s %s\n", command->name, command->summary);
	}
	if (any)
		fputc('\n', out);
}

/* The commands are listed from their table, after the options. */
static char *list_commands(int key, const char *text, void *input)
{
	const struct command_set *set = ((struct found *)input)->set;
	char *help = NULL;
	size_t size;
	FILE *out;

	if (key != ARGP_KEY_HELP_POST_DOC)
		return (char *)text;
	out = open_memstream(&help, &size);
	if (!out)
		return NULL;
	list(out, set, "Commands that ask the running agent:\n", true);
	list(out, set, "Commands that need no agent:\n", false);
	fprintf(out, "%s COMMAND --help explains a command. %s", set->name, set->footnote ? set->footnote : "");
	fclose(out);
	return help;
}

int cli_dispatch(struct cli *cli, const struct command_set *set, int argc, char **argv)
{
	const struct argp argp = {
		.options = options,
		.parser = parse,
		.args_doc = "COMMAND [ARGUMENT...]",
		.doc = set->doc,
		.help_filter = list_commands,
	};
	struct found found = { .cli = cli, .set = set };
	char name[64];

	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &found);
	snprintf(name, sizeof(name), "%s %s", set->name, found.command->name);
	argv[found.at] = name;
	return found.command->run(cli, argc - found.at, argv + found.at);
}
