/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Command line of `autocork bench copy`. */
#include <argp.h>
#include <sys/socket.h>

#include "bench/copy.h"
#include "bench/options.h"
#include "telemetry/commands.h"

enum { KEY_CHECK = 'C', KEY_PORT = 'p', KEY_RATE = 'r', KEY_SIZE = 'S', KEY_V4 = '4', KEY_V6 = '6', KEY_FOR = 256, KEY_MODES,
       KEY_ROUNDS };

static const struct argp_option table[] = {
	{ "port", KEY_PORT, "PORT", 0, "port of the server at HOST [" BENCH_PORT "]", 1 },
	{ "ipv4", KEY_V4, 0, 0, "IPv4 only", 1 },
	{ "ipv6", KEY_V6, 0, 0, "IPv6 only", 1 },
	{ "rate", KEY_RATE, "MBIT", 0, "megabits per second that every mode sends [2000]", 2 },
	{ "for", KEY_FOR, "TIME", 0, "how long each mode sends in a round [1s]", 2 },
	{ "rounds", KEY_ROUNDS, "N", 0, "rounds, in each of which every mode has its turn; medians count [3]", 2 },
	{ "size", KEY_SIZE, "BYTES", 0, "bytes per call [8192]", 3 },
	{ "modes", KEY_MODES, "LIST", 0, "of send,unaligned,read,zerocopy,sendfile,splice [all]", 3 },
	{ "check", KEY_CHECK, 0, 0, "the server compares every byte", 3 },
	{ 0 },
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct bench_copy_options *o = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		if (o->host)
			argp_error(state, "%s: one HOST only", arg);
		o->host = arg;
		break;
	case KEY_PORT:
		cli_number(state, "port", arg, 1, 65535);
		o->port = arg;
		break;
	case KEY_V4: o->family = AF_INET; break;
	case KEY_V6: o->family = AF_INET6; break;
	case KEY_RATE: o->rate_mbit = (uint32_t)cli_number(state, "rate", arg, 1, 400000); break;
	case KEY_FOR: o->seconds = argument_seconds(state, "for", arg, 0.01, 3600); break;
	case KEY_ROUNDS: o->rounds = (uint32_t)cli_number(state, "rounds", arg, 1, BENCH_COPY_ROUNDS_MAX); break;
	case KEY_SIZE: o->size = (uint32_t)cli_number(state, "size", arg, 1, BENCH_COPY_SIZE_MAX); break;
	case KEY_MODES:
		o->modes = bench_copy_modes(arg);
		if (!o->modes)
			argp_error(state, "--modes %s: not a list of send, unaligned, read, zerocopy, sendfile, splice", arg);
		break;
	case KEY_CHECK: o->check = true; break;
	default: return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static const struct argp copy_argp = {
	.options = table,
	.parser = parse,
	.args_doc = "[HOST]",
	.doc = "Sends the same stream at the same rate in each of the ways a program can, and prints the share of a CPU that the "
	       "sender needs for it. To a sink of its own on loopback, or to `autocork bench server` at HOST.\n\n"
	       "Examples:\n"
	       "  autocork bench copy                         all modes, 8 KiB per call\n"
	       "  autocork bench copy --rate 5000 --for 5s HOST\n"
	       "  autocork bench copy --modes send,sendfile --size 65536 --json\n",
};

void bench_copy_parse(struct bench_copy_options *options, struct cli *cli, int argc, char **argv)
{
	*options = (struct bench_copy_options){
		.port = BENCH_PORT, .family = AF_UNSPEC, .rate_mbit = 2000, .seconds = 1, .size = 8192, .rounds = 3,
		.modes = (1u << BENCH_COPY_MODES) - 1,
	};
	cli_parse(cli, &copy_argp, argc, argv, options);
	options->json = cli->json;
}
