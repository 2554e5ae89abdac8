/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* autocorkd: the agent. Options only; its life is in agent/daemon/daemon.c. */
#include <argp.h>
#include <autocork/flow.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include "daemon/daemon.h"
#include "lib/log.h"
#include "lib/paths.h"
#include "lib/streams.h"
#include "lib/version.h"
#include "release/release.h"

const char *argp_program_version = "autocorkd " AUTOCORK_VERSION;

enum {
	OPTION_HELP = 'h',
	OPTION_POLICY_DIR = 0x100,
	OPTION_CONTROL,
	OPTION_CGROUP,
	OPTION_LOG_LEVEL,
	OPTION_MAX_FLOWS,
	OPTION_WITHOUT_FENTRY,
	OPTION_WITHOUT_WRAPPERS,
};

#define TEXT(token) #token
#define TEXT_OF(macro) TEXT(macro)

static const struct argp_option options[] = {
	{ "policy-dir", OPTION_POLICY_DIR, "DIR", 0,
	  "Read the policies (*.conf) of DIR; may be given again, a file masks its namesake of an earlier DIR "
	  "(default: /usr/lib, /run and /etc/autocork/policy.d)",
	  0 },
	{ "control", OPTION_CONTROL, "PATH", 0, "Control socket (default " AUTOCORK_CONTROL ")", 0 },
	{ "cgroup", OPTION_CGROUP, "PATH", 0, "Handle only the flows of this cgroup v2 directory (default: all)", 0 },
	{ "log-level", OPTION_LOG_LEVEL, "LEVEL", 0, "error, warning, info (default) or debug", 0 },
	{ "max-flows", OPTION_MAX_FLOWS, "NUMBER", 0,
	  "Follow at most so many flows at once; those above are left alone, and counted "
	  "(default " TEXT_OF(AC_FLOWS_DEFAULT) ")",
	  0 },
	{ "without-fentry", OPTION_WITHOUT_FENTRY, 0, 0, "Use tracepoints even where fentry works", 0 },
	{ "without-wrappers", OPTION_WITHOUT_WRAPPERS, 0, 0, "Only observe: hold nothing, whatever the policies say",
	  0 },
	{ 0, OPTION_HELP, 0, OPTION_HIDDEN, 0, 0 },
	{ 0 },
};

static void add_policy_dir(struct daemon_options *given, const char *dir, struct argp_state *state)
{
	size_t count = 0;

	while (given->policy_dirs[count])
		count++;
	if (count == DAEMON_DIRS_MAX)
		argp_error(state, "--policy-dir %s: more than %d of them", dir, DAEMON_DIRS_MAX);
	given->policy_dirs[count] = dir;
}

static unsigned int parse_max_flows(const char *arg, struct argp_state *state)
{
	char *end;
	unsigned long value;

	errno = 0;
	value = strtoul(arg, &end, 10);
	if (errno || *end || !isdigit((unsigned char)*arg) || value < AC_FLOWS_MIN || value > AC_FLOWS_MAX)
		argp_error(state, "--max-flows %s: not a number from %d to %d", arg, AC_FLOWS_MIN, AC_FLOWS_MAX);
	return value;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct daemon_options *given = state->input;
	enum log_level level;

	switch (key) {
	case OPTION_POLICY_DIR:
		add_policy_dir(given, arg, state);
		return 0;
	case OPTION_CONTROL:
		given->control = arg;
		return 0;
	case OPTION_CGROUP:
		given->engine.cgroup = arg;
		return 0;
	case OPTION_LOG_LEVEL:
		if (!log_level_parse(arg, &level))
			argp_error(state, "--log-level %s: not one of error, warning, info, debug", arg);
		log_set_level(level);
		return 0;
	case OPTION_MAX_FLOWS:
		given->engine.max_flows = parse_max_flows(arg, state);
		return 0;
	case OPTION_WITHOUT_FENTRY:
		given->engine.without_fentry = true;
		return 0;
	case OPTION_WITHOUT_WRAPPERS:
		given->engine.without_wrappers = true;
		return 0;
	case OPTION_HELP:
		argp_state_help(state, stdout, ARGP_HELP_STD_HELP);
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "%s: autocorkd takes options only", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.doc = "The agent: learns how programs write to their TCP sockets and lets whole messages leave as one packet. "
	       "Runs in the foreground until SIGTERM or SIGINT, then gives every flow back; SIGHUP reads the policies "
	       "again.\n"
	       "\n"
	       "Examples:\n"
	       "  autocorkd\n"
	       "  autocorkd --policy-dir ./policy.d --log-level debug\n"
	       "  autocorkd --cgroup /sys/fs/cgroup/system.slice/nginx.service\n"
	       "\v"
	       "Exit codes: 0 stopped, 1 failed, 2 wrong usage, 3 invalid policy, 4 the kernel lacks something.",
};

int main(int argc, char **argv)
{
	struct daemon_options given = { .control = AUTOCORK_CONTROL };
	struct fault fault;

	if (release_is_me(argc, argv))
		return release_main(argc, argv);
	streams_keep();
	argp_err_exit_status = EXIT_USAGE;
	argp_parse(&argp, argc, argv, 0, NULL, &given);
	if (!daemon_run(&given, &fault))
		return EXIT_OK;
	log_error("%s", fault.text);
	return fault.exit_code;
}
