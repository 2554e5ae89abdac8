/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "fastpath-client/fastpath_command.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "cli/fold.h"
#include "cli/options.h"
#include "fastpath-client/fastpath_json.h"
#include "fastpath-client/fastpath_stats.h"
#include "lib/json.h"
#include "lib/table.h"
#include "lib/units.h"

static const struct cli_option options[] = {
	{ "run-dir", 0, "DIR", "where the processes keep their counters (default: " FASTPATH_RUN_DIR ")", CLI_TEXT,
	  CLI_WHOLE(const char *) },
	{ 0 },
};

static const struct cli_syntax syntax = {
	.options = options,
	.doc = "Shows the autocork-fastpath processes: what came in, what left, how many packets merging saved.\n"
	       "\n"
	       "Examples:\n"
	       "  autocork fastpath\n"
	       "  autocork fastpath --json\n",
};

static void print_queues(const struct cli *cli, const json_t *queues)
{
	static const char *const shown[] = { "rx_packets", "tx_packets", "tx_dropped", "ignored", "merged", "flows" };
	static const struct table_column columns[] = {
		{ "INTERFACE", TABLE_LEFT }, { "QUEUE", TABLE_RIGHT },	{ "CORE", TABLE_RIGHT },
		{ "RECEIVED", TABLE_RIGHT }, { "SENT", TABLE_RIGHT },	{ "DROPPED", TABLE_RIGHT },
		{ "IGNORED", TABLE_RIGHT },  { "MERGED", TABLE_RIGHT }, { "FLOWS", TABLE_RIGHT },
	};
	struct table *table = table_new(columns, sizeof(columns) / sizeof(columns[0]));
	struct units units;
	json_t *queue;
	size_t i;

	json_array_foreach((json_t *)queues, i, queue) {
		const json_t *counters = json_object_get(queue, "counters");

		table_cell(table, TABLE_PLAIN, "%s", json_member_text(queue, "interface"));
		table_cell(table, TABLE_PLAIN, "%" PRIdMAX, (intmax_t)json_number(queue, "queue"));
		table_cell(table, TABLE_PLAIN, "%" PRIdMAX, (intmax_t)json_number(queue, "core"));
		for (size_t k = 0; k < sizeof(shown) / sizeof(shown[0]); k++)
			table_cell(table,
				   !strcmp(shown[k], "tx_dropped") && json_number(counters, shown[k]) ? TABLE_WARN :
													TABLE_PLAIN,
				   "%s", units_count(&units, json_number(counters, shown[k])));
	}
	table_print(table, stdout, cli->colour, cli->width);
	table_free(table);
}

int fastpath_command(struct cli *cli, int argc, char **argv)
{
	const char *dir = NULL;
	json_t *all, *instance;
	struct units units;
	size_t i;

	cli_parse(cli, &syntax, argc, argv, &dir);
	fold_stdout(cli);
	all = fastpath_json(dir);
	if (cli->json) {
		json_print(stdout, all);
		return EXIT_OK;
	}
	json_array_foreach(json_object_get(all, "instances"), i, instance) {
		printf("%s: %s, %s, pid %" PRIdMAX ", up %s, %.0f cycles per packet\n",
		       json_member_text(instance, "name"), json_member_text(instance, "job"),
		       json_member_text(instance, "state"), (intmax_t)json_number(instance, "pid"),
		       units_age(&units, json_number(instance, "uptime_seconds")),
		       json_real_value(json_object_get(instance, "cycles_per_packet")));
		print_queues(cli, json_object_get(instance, "queues"));
	}
	if (!json_array_size(json_object_get(all, "instances")))
		puts(geteuid() ? "No autocork-fastpath runs that you may look at: their counters are root's to read." :
				 "No autocork-fastpath runs. A policy with `steer = dpdk` starts it, or "
				 "autocork-fastpath --interface by hand.");
	json_decref(all);
	return EXIT_OK;
}
