/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "cli/usage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/json.h"

/* argp and getopt write to standard error and then end the program, so it is caught there until then. */
static int caught = -1, real = -1;

/* What follows the first line says where the help is. */
static void report(int status, void *context)
{
	char text[4096] = "";
	struct fault fault;
	ssize_t length;

	if (caught < 0)
		return;
	length = pread(caught, text, sizeof(text) - 1, 0);
	usage_release();
	if (length <= 0)
		return;
	fputs(text, stderr);
	if (status != EXIT_USAGE)
		return;
	text[strcspn(text, "\n")] = '\0';
	fault_set(&fault, EXIT_USAGE, "%s", text);
	json_print(stdout, json_fault(&fault));
	fflush(stdout);
}

static bool wants_json(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--"); i++)
		if (!strcmp(argv[i], "--json"))
			return true;
	return false;
}

void usage_catch(int argc, char **argv)
{
	static bool registered;

	if (caught >= 0 || !wants_json(argc, argv))
		return;
	if (!registered && on_exit(report, NULL))
		return;
	registered = true;
	fflush(stderr);
	caught = memfd_create("usage", MFD_CLOEXEC);
	real = dup(STDERR_FILENO);
	if (caught < 0 || real < 0 || dup2(caught, STDERR_FILENO) < 0)
		usage_release();
}

void usage_release(void)
{
	fflush(stderr);
	if (real >= 0) {
		dup2(real, STDERR_FILENO);
		close(real);
	}
	if (caught >= 0)
		close(caught);
	caught = real = -1;
}
