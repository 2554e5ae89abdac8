/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Finding the command that the next word names. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/nearest.h"
#include "cli/options.h"

struct found {
	const struct command_set *set;
	const struct command *command;
	int at; /* index of the command's name in argv */
};

/* The command whose name is most like the word; NULL if none is like it. */
static const struct command *most_like(const struct command_set *set, const char *word)
{
	const struct command *best = NULL;
	size_t least = strlen(word) / 2 < 2 ? strlen(word) / 2 : 2;

	for (size_t i = 0; i < set->count; i++) {
		size_t distance = nearest_distance(word, set->list[i].name);

		if (distance <= least && (!best || distance < least)) {
			best = &set->list[i];
			least = distance;
		}
	}
	return best;
}

/* `help COMMAND` and `version` are other words for `COMMAND --help` and `--version`. */
static bool is_alias(struct argp_state *state, const char *name)
{
	static char help[] = "--help", version[] = "--version";

	if (!strcmp(name, "version")) {
		state->argv[--state->next] = version;
		return true;
	}
	if (strcmp(name, "help"))
		return false;
	/* The command moves to where `help` stood, and the option follows it. */
	if (state->next < state->argc) {
		state->argv[state->next - 1] = state->argv[state->next];
		state->argv[state->next] = help;
		state->next--;
	} else {
		state->argv[--state->next] = help;
	}
	return true;
}

static void find_command(struct argp_state *state, char *name, void *input)
{
	struct found *found = input;
	const struct command_set *set = found->set;
	const struct command *like;

	if (is_alias(state, name))
		return;
	for (size_t i = 0; i < set->count; i++)
		if (!strcmp(set->list[i].name, name))
			found->command = &set->list[i];
	if (!found->command) {
		like = most_like(set, name);
		if (like)
			argp_error(state, "%s: no such command: did you mean %s %s?", name, set->name, like->name);
		argp_error(state, "%s: no such command: see the list in %s --help", name, set->name);
	}
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
