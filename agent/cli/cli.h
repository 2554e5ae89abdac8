/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What every subcommand of autocork shares: the table of commands, the common options, errors, colours. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "lib/fault.h"

/* The common options, and what stdout is. */
struct cli {
	const char *control; /* --control PATH */
	bool json;	     /* --json: stdout carries JSON only, errors too */
	bool terminal;	     /* stdout is one */
	bool colour;	     /* it is one, and NO_COLOR is not set */
	size_t width;	     /* its columns; 0 where it is none */
};

/*
 * A subcommand: one row of agent/commands/commands.c. argv[0] is "autocork NAME"; run() calls cli_parse()
 * (cli/options.h) first and returns an exit code of lib/fault.h. docs/man/autocork.1 and the completion are checked
 * against the table by tests/unit/test_docs.py.
 */
struct command {
	const char *name;
	const char *summary;
	int (*run)(struct cli *cli, int argc, char **argv);
	bool needs_agent; /* asks a running agent; the help lists these apart */
};

/* Commands that are found by the next word: those of autocork, the verbs of a subcommand. */
struct command_set {
	const char *name; /* "autocork", "autocork policy" */
	const char *doc;  /* what it is for, a blank line, "Examples:" and the examples */
	const struct command *list;
	size_t count;
	const char *footnote; /* below the list; may be NULL */
};

extern const struct command_set autocork_commands;

/* Parses the common options, runs the command that the next word names, returns its exit code. */
int cli_dispatch(struct cli *cli, const struct command_set *set, int argc, char **argv);
/* A line on stderr. The text may quote a file or the command line: what a terminal would obey becomes \xNN. */
void cli_complain(const char *before, const char *text);
/* Says what went wrong on stderr, with --json as an error object on stdout too, and returns the exit code. */
int cli_fail(const struct cli *cli, const struct fault *fault);
