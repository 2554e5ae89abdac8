/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Command line of `autocork bench copy`. */
#include <sys/socket.h>

#include "bench/bench_options.h"
#include "bench/copy.h"
#include "cli/options.h"

static void take_modes(const struct argp_state *state, char *list, void *input)
{
	struct bench_copy_options *o = input;

	o->modes = bench_copy_modes(list);
	if (!o->modes)
		argp_error(state, "--modes %s: not a list of send, unaligned, read, zerocopy, sendfile, splice", list);
}

static void take_host(struct argp_state *state, char *host, void *input)
{
	struct bench_copy_options *o = input;

	if (o->host)
		argp_error(state, "%s: one HOST only", host);
	o->host = host;
}

#define AT(field) CLI_AT(struct bench_copy_options, field)
static const struct cli_option table[] = {
	{ "port", 'p', "PORT", "port of the server at HOST [" BENCH_PORT "]", CLI_DIGITS, .low = 1, .high = 65535,
	  AT(port), .group = 1 },
	{ "ipv4", '4', 0, "IPv4 only", CLI_FLAG, .set = AF_INET, AT(family), .group = 1 },
	{ "ipv6", '6', 0, "IPv6 only", CLI_FLAG, .set = AF_INET6, AT(family), .group = 1 },
	{ "rate", 'r', "MBIT", "megabits per second that every mode sends [2000]", CLI_NUMBER, .low = 1, .high = 400000,
	  AT(rate_mbit), .group = 2 },
	{ "for", 0, "TIME", "how long each mode sends in a round [1s]", CLI_SECONDS, .low = 0.01, .high = 3600,
	  AT(seconds), .group = 2 },
	{ "rounds", 0, "N", "rounds, in each of which every mode has its turn; medians count [3]", CLI_NUMBER, .low = 1,
	  .high = BENCH_COPY_ROUNDS_MAX, AT(rounds), .group = 2 },
	{ "size", 'S', "BYTES", "bytes per call [8192]", CLI_NUMBER, .low = 1, .high = BENCH_COPY_SIZE_MAX, AT(size),
	  .group = 3 },
	{ "modes", 0, "LIST", "of send,unaligned,read,zerocopy,sendfile,splice [all]", CLI_OTHER, .take = take_modes,
	  .group = 3 },
	{ "check", 'C', 0, "the server compares every byte", CLI_FLAG, AT(check), .group = 3 },
	{ 0 },
};
#undef AT

static const struct cli_syntax syntax = {
	.options = table,
	.argument = take_host,
	.args_doc = "[HOST]",
	.doc = "Sends the same stream at the same rate in each of the ways a program can, and prints the share of a "
	       "CPU that the sender needs for it. To a sink of its own on loopback, or to `autocork bench server` at "
	       "HOST.\n\n"
	       "Examples:\n"
	       "  autocork bench copy                         all modes, 8 KiB per call\n"
	       "  autocork bench copy --rate 5000 --for 5s HOST\n"
	       "  autocork bench copy --modes send,sendfile --size 65536 --json\n",
};

void bench_copy_parse(struct bench_copy_options *options, struct cli *cli, int argc, char **argv)
{
	*options = (struct bench_copy_options){
		.port = BENCH_PORT,
		.family = AF_UNSPEC,
		.rate_mbit = 2000,
		.seconds = 1,
		.size = 8192,
		.rounds = 3,
		.modes = (1u << BENCH_COPY_MODES) - 1,
	};
	cli_parse(cli, &syntax, argc, argv, options);
	options->json = cli->json;
}
