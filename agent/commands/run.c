/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* autocork run: a program with TCP of its own, where a policy gives it its ports. In all other cases it runs as it
 * would. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/options.h"
#include "commands/commands.h"
#include "commands/executable.h"
#include "endpoint-broker/protocol.h"

#define SPIN_MAX 0.01 /* seconds */
#define LIBRARY "libautocork-endpoint.so"

struct run {
	double spin; /* seconds */
	bool verbose;
	int at; /* index of the program in argv; 0: none */
};

static void take_spin(const struct argp_state *state, char *arg, void *input)
{
	char *end;
	double value = strtod(arg, &end);
	double unit = !strcmp(end, "us") ? 1e-6 : !strcmp(end, "ms") ? 1e-3 : 0;

	if (end == arg || (!unit && (value || *end)) || !(value >= 0 && value * unit <= SPIN_MAX))
		argp_error(state, "--spin %s: not a duration from 0us to 10ms, such as 50us", arg);
	((struct run *)input)->spin = value * unit;
}

/* The rest is the program's own. */
static void take_program(struct argp_state *state, char *arg, void *input)
{
	((struct run *)input)->at = state->next - 1;
	state->next = state->argc;
}

static void check(const struct argp_state *state, void *input)
{
	if (!((struct run *)input)->at)
		argp_error(state, "which program? autocork run -- PROGRAM ARGUMENTS");
}

static const struct cli_option options[] = {
	{ "spin", 's', "TIME", "Look for packets for so long before each sleep: faster answers, more CPU (default 0)",
	  CLI_OTHER, .take = take_spin },
	{ "verbose", 'v', NULL, "The program says on stderr what the agent refuses it", CLI_FLAG,
	  CLI_AT(struct run, verbose) },
	{ 0 },
};

static const struct cli_syntax syntax = {
	.options = options,
	.args_doc = "[--] PROGRAM [ARGUMENT...]",
	.argument = take_program,
	.check = check,
	.doc = "Runs a program that serves the TCP connections to its ports by itself, without the kernel's TCP, where a policy "
	       "with steer = endpoint names the ports. Everything else stays with the kernel. Where it cannot be done, it says "
	       "why, and the program runs as it would without autocork.\n"
	       "\n"
	       "Examples:\n"
	       "  autocork run -- nginx -g 'daemon off;'\n"
	       "  autocork run --spin 50us -- redis-server\n",
};

static const char *find_library(char path[PATH_MAX])
{
	static const char *const places[] = { "", "../lib/autocork/" };
	char own[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", own, sizeof(own) - 1);
	char *slash;

	if (length < 0)
		return NULL;
	own[length] = 0;
	slash = strrchr(own, '/');
	slash[1] = 0;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (snprintf(path, PATH_MAX, "%s%s" LIBRARY, own, places[i]) < PATH_MAX && !access(path, R_OK))
			return path;
	return NULL;
}

static bool agent_answers(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = ENDPOINT_SOCKET };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	bool answers = fd >= 0 && !connect(fd, (struct sockaddr *)&address, sizeof(address));

	if (fd >= 0)
		close(fd);
	return answers;
}

/* "THING: REASON: NEXT STEP" if the kernel will serve the program, else "". */
static void find_hindrance(const char *program, const char *library, char *text, size_t size)
{
	enum executable_kind kind = executable_kind(program);

	*text = 0;
	if (!library)
		snprintf(text, size, "%s: not found: build it with the source of lwIP (make says what is missing)",
			 LIBRARY);
	else if (kind != EXECUTABLE_DYNAMIC)
		snprintf(text, size, "%s: %s", program, executable_reason(kind));
	else if (!agent_answers())
		snprintf(text, size,
			 "%s: no agent gives out queues: start autocorkd, and write a policy with steer = endpoint",
			 ENDPOINT_SOCKET);
}

static void set_environment(const struct run *run, const char *library)
{
	const char *before = getenv("LD_PRELOAD");
	char text[2 * PATH_MAX];

	snprintf(text, sizeof(text), "%s%s%s", library, before && *before ? ":" : "", before ? before : "");
	setenv("LD_PRELOAD", text, true);
	if (run->verbose)
		setenv("AUTOCORK_ENDPOINT_DEBUG", "1", true);
	snprintf(text, sizeof(text), "%.0f", run->spin * 1e9);
	setenv("AUTOCORK_ENDPOINT_SPIN", text, true);
}

int command_run(struct cli *cli, int argc, char **argv)
{
	char library[PATH_MAX], program[PATH_MAX], text[PATH_MAX + 256];
	struct run run = { 0 };
	const char *found;
	struct fault fault;

	cli_parse(cli, &syntax, argc, argv, &run);
	if (!executable_find(argv[run.at], program)) {
		fault_set(&fault, EXIT_FAILED, "%.200s: %s: check its name and PATH", argv[run.at], strerror(errno));
		return cli_fail(cli, &fault);
	}
	found = find_library(library);
	find_hindrance(program, found, text, sizeof(text));
	if (*text) {
		strncat(text, "; it runs on the kernel's TCP", sizeof(text) - strlen(text) - 1);
		cli_complain("autocork: ", text);
	}
	/* Without an agent too: one may start later. */
	if (found && executable_kind(program) == EXECUTABLE_DYNAMIC)
		set_environment(&run, library);
	execv(program, argv + run.at);
	fault_set(&fault, EXIT_FAILED, "%.200s: it cannot be run: %s", program, strerror(errno));
	return cli_fail(cli, &fault);
}
