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
	intmax_t policies;
	json_t *policy;
	size_t files;

	cli_parse(cli, &syntax, argc, argv, NULL);
	if (client_call(cli->control, json_pack("{ss}", "op", "reload"), &policy, &fault))
		return cli_fail(cli, &fault);
	if (cli->json) {
		json_print(stdout, policy);
		return EXIT_OK;
	}
	policies = json_number(policy, "policies");
	files = json_array_size(json_object_get(policy, "files"));
	printf("In force: %" PRIdMAX " polic%s of %zu file%s.\n", policies, policies == 1 ? "y" : "ies", files,
	       files == 1 ? "" : "s");
	json_decref(policy);
	return EXIT_OK;
}
