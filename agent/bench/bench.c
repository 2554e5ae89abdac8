/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* `autocork bench`: chooses the side. */
#include "bench/bench.h"

#include <argp.h>
#include <string.h>

#include <autocork/types.h>

#include "bench/copy.h"
#include "bench/sides.h"
#include "cli/cli.h"

static int client(struct cli *cli, int argc, char **argv)
{
	struct bench_client_options options;
	struct fault fault;

	bench_client_parse(&options, cli, argc, argv);
	return bench_client_run(&options, &fault) ? cli_fail(cli, &fault) : EXIT_OK;
}

static int server(struct cli *cli, int argc, char **argv)
{
	struct bench_server_options options;
	struct fault fault;

	bench_server_parse(&options, cli, argc, argv);
	return bench_server_run(&options, &fault) ? cli_fail(cli, &fault) : EXIT_OK;
}

static int copy(struct cli *cli, int argc, char **argv)
{
	struct bench_copy_options options;
	struct fault fault;

	bench_copy_parse(&options, cli, argc, argv);
	return bench_copy_run(&options, &fault) ? cli_fail(cli, &fault) : EXIT_OK;
}

static const struct side {
	const char *name, *program;
	int (*run)(struct cli *cli, int argc, char **argv);
} sides[] = {
	{ "client", "autocork bench client", client },
	{ "server", "autocork bench server", server },
	{ "copy", "autocork bench copy", copy },
};

struct choice {
	const struct side *side;
	int first;	/* index of the side's name in argv */
};

static error_t choose(int key, char *arg, struct argp_state *state)
{
	struct choice *choice = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		for (size_t i = 0; i < AC_ARRAY_SIZE(sides); i++)
			if (!strcmp(sides[i].name, arg))
				choice->side = &sides[i];
		if (!choice->side)
			argp_error(state, "%s: no such side: say client, server or copy", arg);
		/* The rest is the side's own. */
		choice->first = state->next - 1;
		state->next = state->argc;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_usage(state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp bench_argp = {
	.parser = choose,
	.args_doc = "client|server|copy [OPTION...]",
	.doc = "Sends messages in small writes and shows what each costs in time, packets and CPU; or a stream\n"
	       "in each of the ways a program can send one, and shows what copying costs.\n\n"
	       "Examples:\n"
	       "  autocork bench server &\n"
	       "  autocork bench client --no_delay\n"
	       "  autocork bench copy\n"
	       "  autocork bench client --help\n",
};

int bench_command(struct cli *cli, int argc, char **argv)
{
	struct choice choice = { 0 };

	cli_parse(cli, &bench_argp, argc, argv, &choice);
	argv[choice.first] = (char *)choice.side->program;
	return choice.side->run(cli, argc - choice.first, argv + choice.first);
}
