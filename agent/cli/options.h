/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The command line of a subcommand, as one table: from it argp gets its list, and each value goes where its row says.
 * A subcommand declares its own options only; --json, --control, --help and --version come by themselves.
 */
#pragma once
#include <argp.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "cli/cli.h"

#define CLI_DAY_S 86400

/* What an option's value is, and the type of the field it goes to. */
enum cli_value {
	CLI_FLAG,    /* none: `set`, or 1, goes to a bool, an integer or an enum */
	CLI_NUMBER,  /* whole, low to high: an integer */
	CLI_DIGITS,  /* the same, kept as text: const char * */
	CLI_SECONDS, /* "30s", "2m", "1h", "500ms" or bare seconds, low to high: double */
	CLI_TEXT,    /* const char * */
	CLI_WORD,    /* one of `words`; its index goes to an integer or an enum */
	CLI_OTHER,   /* take() does it */
};

struct cli_option {
	const char *name; /* long; one with '_' is understood with '-' too */
	int letter;	  /* short; 0 = none */
	const char *arg;  /* name of the value in the help; NULL for a CLI_FLAG */
	const char *help;
	enum cli_value value;
	double low, high;
	long set;
	const char *const *words; /* ends with NULL */
	size_t offset, size;	  /* of the field in the input: CLI_AT() */
	const char *member;	  /* the field is a json_t *, and the value goes to this member of it: CLI_IN() */
	void (*take)(const struct argp_state *state, char *arg, void *input);
	const char *alias; /* a second long name */
	int group;	   /* options of a group stand together in the help */
	bool optional;	   /* without a value take() gets NULL */
};

#define CLI_AT(type, field) .offset = offsetof(type, field), .size = sizeof(((type *)0)->field)
#define CLI_WHOLE(type) .offset = 0, .size = sizeof(type) /* the input is the value */
#define CLI_IN(type, request, name) .offset = offsetof(type, request), .member = (name)

/* Options of several subcommands; what follows the help says where the value goes. */
/* clang-format off */
#define CLI_PORT(help, ...) { "port", 'p', "PORT", help, CLI_NUMBER, .low = 1, .high = 65535, __VA_ARGS__ }
#define CLI_FOR(least, help, ...) \
	{ "for", 'f', "TIME", help, CLI_SECONDS, .low = least, .high = CLI_DAY_S, __VA_ARGS__ }
/* Filters of a request for flows or events. */
#define CLI_FLOW_PORT(...) CLI_PORT("Only flows with this local or remote port", __VA_ARGS__)
#define CLI_FLOW_PROGRAM(...) \
	{ "program", 'P', "PATTERN", "Only flows of programs that match the shell pattern", CLI_TEXT, __VA_ARGS__ }
/* clang-format on */

struct cli_syntax {
	const struct cli_option *options; /* ends with an empty row; may be NULL */
	const char *args_doc;		  /* the arguments that are no options, for the help */
	const char *doc; /* what it does, a blank line, "Examples:" and the examples; '\v', what stands below the
			  * options */
	/* Takes an argument that is no option; NULL: there are none. */
	void (*argument)(struct argp_state *state, char *arg, void *input);
	/* Looks at what came out, once all is read; may be NULL. */
	void (*check)(const struct argp_state *state, void *input);
	/* Writes what stands below the options instead of the doc's part; may be NULL. */
	void (*tail)(FILE *out, const void *input);
};

/* Fills the input and the common options; ends the program with EXIT_USAGE if they are wrong, EXIT_OK after --help. */
void cli_parse(struct cli *cli, const struct cli_syntax *syntax, int argc, char **argv, void *input);

/* For take(): as CLI_NUMBER and CLI_SECONDS; anything else is a usage error that names the option. */
long cli_number(const struct argp_state *state, const char *option, const char *text, long low, long high);
double cli_seconds(const struct argp_state *state, const char *option, const char *text, double low, double high);
