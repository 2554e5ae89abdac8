/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The subcommands of autocork, in the order in which --help lists them: a feature adds its row. */
#include "bench/bench.h"
#include "cli/cli.h"
#include "cli/commands.h"

const struct command commands[] = {
	{ "status", "what the agent does and what it saves, per service", cli_status, true },
	{ "services", "every counter of every service", cli_services, true },
	{ "flows", "the live flows", cli_flows, true },
	{ "reload", "have the agent read its policy files again", cli_reload, true },
	{ "bench", "send messages in small writes, and time and count them", bench_command, false },
};

const size_t command_count = sizeof(commands) / sizeof(commands[0]);
