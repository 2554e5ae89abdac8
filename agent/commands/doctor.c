/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* autocork doctor: which kernel features work, what is missing without the others, and how to enable them. */
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "cli/client.h"
#include "cli/fold.h"
#include "cli/options.h"
#include "commands/commands.h"
#include "daemon/machine.h"
#include "daemon/privileges.h"
#include "daemon/report.h"
#include "engine/engine.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/table.h"

static const struct cli_option options[] = {
	{ "no-agent", 'n', 0, "Try by itself, even if a control socket is there", CLI_FLAG, CLI_WHOLE(bool) },
	{ 0 },
};

static const struct cli_syntax syntax = {
	.options = options,
	.doc = "Tries every kernel feature that the agent uses. Says which work, what is missing without the others, and "
	       "how to enable them. Asks the agent if one runs; else tries by itself, as root, and leaves nothing behind.\n"
	       "\n"
	       "Examples:\n"
	       "  autocork doctor\n"
	       "  autocork doctor --json | jq '.features[] | select(.works | not)'\n"
	       "\v"
	       "Exit code 4: this kernel cannot hold writes at all; the agent can only observe, or not run.",
};

/* Loads and attaches everything, with no policy in force, and takes it off again. */
static int try_by_itself(json_t **found, struct fault *fault)
{
	struct engine_options everything = { 0 };
	const struct engine_feature *features;
	struct engine *engine;
	struct machine machine;
	size_t count;
	int result;

	if (privileges_check(fault))
		return -1;
	/* Trying removes what a killed agent left; it must not do so to a living one. */
	if (machine_take(&machine, fault))
		return -1;
	/* What does not work is in the table; the log would say it twice. */
	log_set_level(LOG_LEVEL_ERROR);
	result = engine_start(&engine, &everything, fault);
	if (!result) {
		engine_try_rest(engine);
		features = engine_features(engine, &count);
		*found = json_pack("{ss ss so}", "source", "trial", "mode", report_mode(features, count), "features",
				   report_features(features, count));
		engine_stop(engine);
	}
	machine_release(&machine);
	return result;
}

static int ask_agent(const struct cli *cli, json_t **found, struct fault *fault)
{
	if (client_call(cli->control, json_pack("{ss}", "op", "doctor"), found, fault))
		return -1;
	json_object_set_new(*found, "source", json_string("agent"));
	return 0;
}

static const struct table_column columns[] = {
	{ "FEATURE", TABLE_LEFT },
	{ "WORKS", TABLE_LEFT },
	{ "HOW, OR WHY NOT", TABLE_LEFT },
};

static void print_findings(const struct cli *cli, const json_t *found)
{
	const json_t *features = json_object_get(found, "features"), *feature;
	struct table *table = table_new(columns, sizeof(columns) / sizeof(columns[0]));
	struct utsname kernel;
	size_t i;

	json_array_foreach((json_t *)features, i, feature) {
		bool works = json_is_true(json_object_get(feature, "works"));

		table_cell(table, TABLE_PLAIN, "%s", json_member_text(feature, "name"));
		table_cell(table, works ? TABLE_GOOD : TABLE_WARN, works ? "yes" : "no");
		table_cell(table, TABLE_PLAIN, "%s", json_member_text(feature, "reason"));
	}
	uname(&kernel);
	printf("kernel %s, mode %s\n\n", kernel.release, json_member_text(found, "mode"));
	/* The reason is a sentence, which is not cut: it goes on in the next line. */
	table_print(table, stdout, cli->colour, 0);
	table_free(table);
	json_array_foreach((json_t *)features, i, feature) {
		if (json_is_true(json_object_get(feature, "works")))
			continue;
		printf("\n%sno %s%s: %s\n", table_paint(TABLE_BOLD, cli->colour), json_member_text(feature, "name"),
		       table_paint(TABLE_PLAIN, cli->colour), json_member_text(feature, "without"));
		if (*json_member_text(feature, "fix"))
			printf("  fix: %s\n", json_member_text(feature, "fix"));
	}
}

int command_doctor(struct cli *cli, int argc, char **argv)
{
	bool no_agent = false;
	struct fault fault;
	json_t *found;
	int code;

	cli_parse(cli, &syntax, argc, argv, &no_agent);
	fold_stdout(cli);
	if (no_agent || !client_listens(cli->control) ? try_by_itself(&found, &fault) : ask_agent(cli, &found, &fault))
		return cli_fail(cli, &fault);
	code = strcmp(json_member_text(found, "mode"), "autocork") ? EXIT_UNSUPPORTED : EXIT_OK;
	if (cli->json) {
		json_print(stdout, found);
		return code;
	}
	print_findings(cli, found);
	json_decref(found);
	return code;
}
