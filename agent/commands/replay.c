/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* autocork replay: what the agent would have done with a recorded trace. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/options.h"
#include "commands/commands.h"
#include "replay/simulator.h"

struct input {
	struct replay_options replay;
	const char *path;
};

static void take_confidence(const struct argp_state *state, char *text, void *data)
{
	struct input *input = data;
	char *end;
	double confidence = strtod(text, &end);

	if (end == text || *end || !(confidence >= 0.5 && confidence <= 0.996))
		argp_error(state, "--confidence %s: not a number from 0.5 to 0.996", text);
	input->replay.tuning.need_max = lround(1 / (1 - confidence));
}

static void take_path(struct argp_state *state, char *path, void *data)
{
	struct input *input = data;

	if (input->path)
		argp_error(state, "%s: one trace at a time", path);
	input->path = path;
}

static void check(const struct argp_state *state, void *data)
{
	if (!((struct input *)data)->path)
		argp_error(state, "name a trace, or - for standard input");
}

#define AT(member) CLI_AT(struct input, replay.member)
static const struct cli_option options[] = {
	{ "burst-gap", 0, "US", "Microseconds without a write that end a message (200)", CLI_NUMBER, .low = 10,
	  .high = 1000000, AT(tuning.burst_gap_us) },
	{ "confidence", 0, "C", "Share of messages that must go on before a write is held (0.98)", CLI_OTHER,
	  .take = take_confidence },
	{ "max-hold", 0, "US", "Longest hold in microseconds (2000)", CLI_NUMBER, .low = 100, .high = 100000,
	  AT(max_hold_us) },
	{ "mss", 0, "BYTES", "Full segment (default: as the trace says)", CLI_NUMBER, .low = 48, .high = 65535,
	  AT(mss) },
	{ "packet-worth", 0, "US", "Microseconds of waiting that a packet saved is worth (40)", CLI_NUMBER, .low = 5,
	  .high = 10000, AT(packet_worth_us) },
	{ "nodelay", 0, 0, "Treat every flow as having set TCP_NODELAY", CLI_FLAG, .set = REPLAY_NODELAY, AT(nagle) },
	{ "nagle", 0, 0, "Treat every flow as not having set TCP_NODELAY", CLI_FLAG, .set = REPLAY_NAGLE, AT(nagle) },
	{ "no-prior", 0, 0, "Flows learn nothing from each other", CLI_FLAG, AT(no_prior) },
	{ "no-app-wait", 0, 0, "A read or poll does not end a wrong hold, as on kernels without fentry", CLI_FLAG,
	  AT(no_app_wait) },
	{ 0 },
};
#undef AT

static const struct cli_syntax syntax = {
	.options = options,
	.argument = take_path,
	.check = check,
	.args_doc = "TRACE",
	.doc = "Replays a recorded trace of writes and reads through the predictor, and prints packets with and "
	       "without the agent, and how many messages were held too long.\n"
	       "\n"
	       "Examples:\n"
	       "  autocork replay http.trace\n"
	       "  autocork replay --confidence 0.9 --nagle --json http.trace\n",
};

int command_replay(struct cli *cli, int argc, char **argv)
{
	struct input input = { .replay = REPLAY_DEFAULTS };
	struct fault fault;

	cli_parse(cli, &syntax, argc, argv, &input);
	if (replay_command(input.path, &input.replay, cli->json, stdout, &fault))
		return cli_fail(cli, &fault);
	return EXIT_OK;
}
