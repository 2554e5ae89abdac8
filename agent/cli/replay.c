/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* autocork replay: what the agent would have done with a recorded trace. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/cli.h"
#include "replay/replay.h"

enum {
	OPTION_GAP = 0x200,
	OPTION_CONFIDENCE,
	OPTION_MAX_HOLD,
	OPTION_MSS,
	OPTION_NODELAY,
	OPTION_NAGLE,
	OPTION_NO_PRIOR,
	OPTION_NO_APP_WAIT,
};

struct input {
	struct replay_options replay;
	const char *path;
};

static const struct argp_option options[] = {
	{ "burst-gap", OPTION_GAP, "US", 0, "Microseconds without a write that end a burst (200)", 0 },
	{ "confidence", OPTION_CONFIDENCE, "C", 0, "Bursts that must go on before a write is held (0.98)", 0 },
	{ "max-hold", OPTION_MAX_HOLD, "US", 0, "Longest hold in microseconds (2000)", 0 },
	{ "mss", OPTION_MSS, "BYTES", 0, "Full segment (default: as the trace says)", 0 },
	{ "nodelay", OPTION_NODELAY, 0, 0, "As if every flow had set TCP_NODELAY", 0 },
	{ "nagle", OPTION_NAGLE, 0, 0, "As if none had", 0 },
	{ "no-prior", OPTION_NO_PRIOR, 0, 0, "Flows learn nothing from each other", 0 },
	{ "no-app-wait", OPTION_NO_APP_WAIT, 0, 0,
	  "A read or poll does not end a wrong hold, as on kernels without fentry", 0 },
	{ 0 },
};

static uint16_t need_of(const struct argp_state *state, const char *text)
{
	char *end;
	double confidence = strtod(text, &end);

	if (end == text || *end || !(confidence >= 0.5 && confidence <= 0.996))
		argp_error(state, "--confidence %s: not a number from 0.5 to 0.996", text);
	return lround(1 / (1 - confidence));
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct input *input = state->input;
	struct replay_options *replay = &input->replay;

	switch (key) {
	case OPTION_GAP:
		replay->tuning.burst_gap_us = cli_number(state, "burst-gap", arg, 10, 1000000);
		return 0;
	case OPTION_CONFIDENCE:
		replay->tuning.need_max = need_of(state, arg);
		return 0;
	case OPTION_MAX_HOLD:
		replay->max_hold_us = cli_number(state, "max-hold", arg, 100, 100000);
		return 0;
	case OPTION_MSS:
		replay->mss = cli_number(state, "mss", arg, 48, 65535);
		return 0;
	case OPTION_NODELAY:
		replay->nagle = REPLAY_NODELAY;
		return 0;
	case OPTION_NAGLE:
		replay->nagle = REPLAY_NAGLE;
		return 0;
	case OPTION_NO_PRIOR:
		replay->no_prior = true;
		return 0;
	case OPTION_NO_APP_WAIT:
		replay->no_app_wait = true;
		return 0;
	case ARGP_KEY_ARG:
		if (input->path)
			argp_error(state, "%s: one trace at a time", arg);
		input->path = arg;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "name a trace, or - for standard input");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "TRACE",
	.doc = "Replays a recorded trace of writes and reads through the predictor, and prints packets with and without the "
	       "agent, and misses.\n"
	       "\n"
	       "Examples:\n"
	       "  autocork replay http.trace\n"
	       "  autocork replay --confidence 0.9 --nagle --json http.trace\n",
};

int cli_replay(struct cli *cli, int argc, char **argv)
{
	struct input input = { .replay = REPLAY_DEFAULTS };
	struct fault fault;

	cli_parse(cli, &argp, argc, argv, &input);
	if (replay_command(input.path, &input.replay, cli->json, stdout, &fault))
		return cli_fail(cli, &fault);
	return EXIT_OK;
}
