/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "cli/cli.h"

#include <stdio.h>

#include "lib/json.h"

void cli_complain(const char *before, const char *text)
{
	json_t *clean = json_text_or_null(text);

	fprintf(stderr, "%s%s\n", before, json_string_value(clean) ?: "");
	json_decref(clean);
}

int cli_fail(const struct cli *cli, const struct fault *fault)
{
	if (cli->json) {
		json_print(stdout, json_fault(fault));
		fflush(stdout);
	}
	cli_complain("autocork: ", fault->text);
	return fault->exit_code;
}
