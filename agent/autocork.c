/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* autocork: the command line. The subcommands are in agent/commands/commands.c. */
#include <argp.h>
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/cli.h"
#include "lib/paths.h"
#include "lib/streams.h"
#include "lib/version.h"
#include "release/release.h"

const char *argp_program_version = "autocork " AUTOCORK_VERSION;

static size_t terminal_width(void)
{
	struct winsize size;

	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) ? 80 : size.ws_col;
}

int main(int argc, char **argv)
{
	struct cli cli = { .control = AUTOCORK_CONTROL, .terminal = isatty(STDOUT_FILENO) };
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
	int code;

	if (release_is_me(argc, argv))
		return release_main(argc, argv);
	streams_keep();
	argp_err_exit_status = EXIT_USAGE;
	cli.width = cli.terminal ? terminal_width() : 0;
	cli.colour = cli.terminal && !(no_color && *no_color) && term && strcmp(term, "dumb");
	code = cli_dispatch(&cli, &autocork_commands, argc, argv);
	if (fflush(stdout) || ferror(stdout)) {
		warn("stdout");
		return EXIT_FAILED;
	}
	return code;
}
