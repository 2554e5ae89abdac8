/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* autocork: the command line. Finds the subcommand (agent/cli/commands.c) and runs it. */
#include <argp.h>
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/cli.h"
#include "lib/paths.h"
#include "lib/version.h"

const char *argp_program_version = "autocork " AUTOCORK_VERSION;

enum { OPTION_HELP = 'h', OPTION_JSON = 0x100, OPTION_CONTROL };

static const struct argp_option options[] = {
	{ "json", OPTION_JSON, 0, 0, "Print JSON: one object, or one per line", 0 },
	{ "control", OPTION_CONTROL, "PATH", 0, "Control socket of the agent (default " AUTOCORK_CONTROL ")", 0 },
	{ 0, OPTION_HELP, 0, OPTION_HIDDEN, 0, 0 },
	{ 0 },
};

struct found {
	struct cli *cli;
	const struct command *command;
	int first;	/* index of the command's name in argv */
};

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < command_count; i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
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
		found->command = find_command(arg);
		if (!found->command)
			argp_error(state, "%s: no such command: see the list in autocork --help", arg);
		/* The rest is the command's own. */
		found->first = state->next - 1;
		state->next = state->argc;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_usage(state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* The commands are listed from their table, after the options. */
static char *list_commands(int key, const char *text, void *input)
{
	char *list = NULL;
	size_t size;
	FILE *out;

	if (key != ARGP_KEY_HELP_POST_DOC)
		return (char *)text;
	out = open_memstream(&list, &size);
	if (!out)
		return NULL;
	for (int needs_agent = 1; needs_agent >= 0; needs_agent--) {
		fputs(needs_agent ? "Commands that ask the running agent:\n" : "\nCommands that need no agent:\n", out);
		for (size_t i = 0; i < command_count; i++)
			if (commands[i].needs_agent == needs_agent)
				fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].summary);
	}
	fputs("\nautocork COMMAND --help explains a command. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 invalid "
	      "configuration, 4 the kernel lacks something. NO_COLOR turns colours off.", out);
	fclose(out);
	return list;
}

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "COMMAND [ARGUMENT...]",
	.doc = "Asks and directs autocorkd, the agent that lets whole messages leave as one packet.\n"
	       "\n"
	       "Examples:\n"
	       "  autocork status             what is managed, and what it saves\n"
	       "  autocork status --watch     the same, live\n"
	       "  autocork flows --port 80    the live flows of a port\n"
	       "\v ",
	.help_filter = list_commands,
};

static size_t terminal_width(void)
{
	struct winsize size;

	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) ? 80 : size.ws_col;
}

int main(int argc, char **argv)
{
	struct cli cli = { .control = AUTOCORK_CONTROL };
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
	struct found found = { .cli = &cli };
	char name[64];
	int code;

	argp_err_exit_status = EXIT_USAGE;
	cli.terminal = isatty(STDOUT_FILENO);
	cli.width = cli.terminal ? terminal_width() : 0;
	cli.colour = cli.terminal && !(no_color && *no_color) && term && strcmp(term, "dumb");
	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &found);

	snprintf(name, sizeof(name), "autocork %s", found.command->name);
	argv[found.first] = name;
	code = found.command->run(&cli, argc - found.first, argv + found.first);
	if (fflush(stdout) || ferror(stdout)) {
		warn("stdout");
		return EXIT_FAILED;
	}
	return code;
}
