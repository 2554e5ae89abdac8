/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* `autocork bench`: its sides. */
#include "bench/bench.h"

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

static const struct command sides[] = {
	{ "client", "send messages in small writes, and time and count them", client, false },
	{ "server", "answer the client's messages", server, false },
	{ "copy", "what each way to send a stream costs in CPU", copy, false },
};

int bench_command(struct cli *cli, int argc, char **argv)
{
	static const struct command_set set = {
		.name = "autocork bench",
		.doc = "Sends messages in small writes and shows what each costs in time, packets and CPU; or a stream "
		       "in each of the ways a program can send one, and shows what copying costs.\n\n"
		       "Examples:\n"
		       "  autocork bench server &\n"
		       "  autocork bench client --no_delay\n"
		       "  autocork bench copy\n"
		       "  autocork bench client --help\n",
		.list = sides,
		.count = AC_ARRAY_SIZE(sides),
	};

	return cli_dispatch(cli, &set, argc, argv);
}
