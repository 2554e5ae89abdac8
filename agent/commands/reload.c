/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* autocork reload: SIGHUP with an answer. */
#include <inttypes.h>
#include <stdio.h>

#include "cli/client.h"
#include "cli/options.h"
#include "commands/commands.h"
#include "lib/json.h"

static const struct cli_syntax syntax = {
	.doc = "Has the agent read its policy files again. All of them are checked first: if one is invalid, the "
	       "policies in force stay, and the exit code is 3.\n"
	       "\n"
	       "Examples:\n"
	       "  autocork policy check /etc/autocork/policy.d/web.conf && autocork reload\n",
};

int command_reload(struct cli *cli, int argc, char **argv)
{
	struct fault fault;
	json_t *policy;

	cli_parse(cli, &syntax, argc, argv, NULL);
	if (client_call(cli->control, json_pack("{ss}", "op", "reload"), &policy, &fault))
		return cli_fail(cli, &fault);
	if (cli->json) {
		json_print(stdout, policy);
		return EXIT_OK;
	}
	printf("%" PRIdMAX " policies of %zu files are in force.\n", (intmax_t)json_number(policy, "policies"),
	       json_array_size(json_object_get(policy, "files")));
	json_decref(policy);
	return EXIT_OK;
}
