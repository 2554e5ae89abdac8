/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The subcommands of autocork, in the order in which --help lists them: a feature adds its row. */
#include "bench/bench.h"
#include "cli/cli.h"
#include "commands/commands.h"
#include "fastpath-client/fastpath_command.h"
#include "steer/steer_command.h"

static const struct command commands[] = {
	{ "status", "what the agent does and what it saves, per service", command_status, true },
	{ "services", "every counter of every service", command_services, true },
	{ "flows", "the live flows", command_flows, true },
	{ "doctor", "which kernel features work and how to enable the others", command_doctor, false },
	{ "advise", "what services that are not managed would save", command_advise, true },
	{ "events", "what happens to flows, as it happens", command_events, true },
	{ "explain", "what becomes of each message, in words", command_explain, true },
	{ "responses", "what programs do for each response, and what of it is waste", command_responses, true },
	{ "top", "the services and flows that save most, live", command_top, true },
	{ "trial", "try to manage a service for a while, and compare", command_trial, true },
	{ "reload", "have the agent read its policy files again", command_reload, true },
	{ "policy", "check policy files, show what is in force", command_policy, false },
	{ "try", "observe this machine for 30 s, and say what would gain", command_try, false },
	{ "record", "write what programs do on a port to a file, for replay", command_record, true },
	{ "replay", "what the agent would do with a recorded trace", command_replay, false },
	{ "bench", "send messages in small writes, and time and count them", bench_command, false },
	{ "fastpath", "what the autocork-fastpath processes do", fastpath_command, false },
	{ "run", "run a program with TCP of its own", command_run, false },
	{ "endpoint", "programs with TCP of their own", command_endpoint, false },
	{ "steer", "hand flows of an interface to AF_XDP sockets", steer_command, false },
};

const struct command_set autocork_commands = {
	.name = "autocork",
	.doc = "Asks and directs autocorkd, the agent that lets whole messages leave as one packet.\n"
	       "\n"
	       "Examples:\n"
	       "  autocork status             what is managed, and what it saves\n"
	       "  autocork status --watch     the same, live\n"
	       "  autocork flows --port 80    the live flows of a port\n"
	       "  autocork policy check web.conf\n",
	.list = commands,
	.count = sizeof(commands) / sizeof(commands[0]),
	.footnote = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 invalid configuration, 4 the kernel lacks "
		    "something. NO_COLOR turns colours off.",
};
