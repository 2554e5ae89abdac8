/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Finding the command that the next word names. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/options.h"

struct found {
	const struct command_set *set;
	const struct command *command;
	int at;		/* index of the command's name in argv */
};

static void find_command(struct argp_state *state, char *name, void *input)
{
	struct found *found = input;
	const struct command_set *set = found->set;

	for (size_t i = 0; i < set->count; i++)
		if (!strcmp(set->list[i].name, name))
			found->command = &set->list[i];
	if (!found->command)
		argp_error(state, "%s: no such command: see the list in %s --help", name, set->name);
	/* The rest is the command's own. */
	found->at = state->next - 1;
	state->next = state->argc;
}

static void check(const struct argp_state *state, void *input)
{
	if (!((struct found *)input)->command)
		argp_usage(state);
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
static void list_commands(FILE *out, const void *input)
{
	const struct command_set *set = ((const struct found *)input)->set;

	list(out, set, "Commands that ask the running agent:\n", true);
	list(out, set, "Commands that need no agent:\n", false);
	fprintf(out, "%s COMMAND --help explains a command.", set->name);
	if (set->footnote)
		fprintf(out, " %s", set->footnote);
}

int cli_dispatch(struct cli *cli, const struct command_set *set, int argc, char **argv)
{
	const struct cli_syntax syntax = {
		.args_doc = "COMMAND [ARGUMENT...]",
		.doc = set->doc,
		.argument = find_command,
		.check = check,
		.tail = list_commands,
	};
	struct found found = { .set = set };
	char name[64];

	cli_parse(cli, &syntax, argc, argv, &found);
	snprintf(name, sizeof(name), "%s %s", set->name, found.command->name);
	argv[found.at] = name;
	return found.command->run(cli, argc - found.at, argv + found.at);
}
