/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "cli/cli.h"

#include <stdio.h>

#include "lib/json.h"

int cli_fail(const struct cli *cli, const struct fault *fault)
{
	if (cli->json)
		json_print(stdout, json_fault(fault));
	else
		fprintf(stderr, "autocork: %s\n", fault->text);
	return fault->exit_code;
}
