/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* autocork try: observes for a while, then says in sentences what would gain, and what to do next. */
#include <stdlib.h>
#include <string.h>

#include "cli/client.h"
#include "cli/fold.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/private_agent.h"
#include "commands/commands.h"
#include "commands/service_list.h"
#include "lib/json.h"
#include "telemetry/finding.h"

struct options {
	double seconds;
	bool all;
};

static const struct cli_option options[] = {
	CLI_FOR(1, "How long to observe (default 30s)", CLI_AT(struct options, seconds)),
	{ "all", 'a', 0, "Also services with nothing to gain", CLI_FLAG, CLI_AT(struct options, all) },
	{ 0 },
};

static const struct cli_syntax syntax = {
	.options = options,
	.doc = "Observes the programs of this machine for a while, and says which of them would gain, worst first. "
	       "It changes nothing. Where no agent runs, it starts one of its own for that time, which needs root.\n"
	       "\n"
	       "Examples:\n"
	       "  autocork try\n"
	       "  autocork try --for 2m --all\n"
	       "  autocork try --json | jq 'select(.finding == \"waits\")'\n",
};

struct found {
	const struct listed_service *service;
	struct finding finding;
};

static int worst_first(const void *a, const void *b)
{
	return finding_compare(&((const struct found *)a)->finding, &((const struct found *)b)->finding);
}

static bool is_shown(const struct options *given, enum finding_kind kind)
{
	return given->all || kind == FINDING_WAITS || kind == FINDING_PACKETS;
}

static json_t *to_json(const struct found *found)
{
	const struct finding *finding = &found->finding;
	const struct listed_service *service = found->service;

	return json_pack("{si ss ss ss sf sf sf sf}", "port", service->port, "side", service_side_name(service->side),
			 "program", service->program, "finding", finding_name(finding->kind), "messages_per_second",
			 finding->messages_per_s, "wait_seconds_per_message", finding->wait_s, "packets_per_message",
			 finding->packets_now, "packets_per_message_possible", finding->packets_possible);
}

/* The other side's messages, of this machine too perhaps, would blur the times of those that gain. */
static void print_next(const struct listed_service *service)
{
	printf("Next: autocork trial --port %u", service->port);
	if (service->side != AC_SIDE_ANY)
		printf(" --side %s", service_side_name(service->side));
	putchar('\n');
}

static void print(const struct cli *cli, const struct options *given, const struct found *found, size_t count)
{
	const struct found *worst = NULL;
	size_t hidden = 0;

	for (size_t i = 0; i < count; i++) {
		const struct listed_service *service = found[i].service;
		enum finding_kind kind = found[i].finding.kind;

		if (!is_shown(given, kind)) {
			hidden++;
			continue;
		}
		if (cli->json)
			json_print(stdout, to_json(&found[i]));
		else
			finding_print(stdout, &found[i].finding, service->port, service->side, service->program);
		if (!worst && (kind == FINDING_WAITS || kind == FINDING_PACKETS))
			worst = &found[i];
	}
	if (cli->json)
		return;
	if (hidden)
		printf("%s%zu %s with nothing to gain, or too little traffic (--all lists them).\n",
		       hidden < count ? "" : "No program would gain. ", hidden, hidden == 1 ? "service" : "services");
	if (!count)
		puts("No TCP traffic was seen. Try again while your services are busy.");
	if (worst)
		print_next(worst->service);
}

static int observe(struct cli *cli, const struct options *given, struct fault *fault)
{
	struct service_list list;
	struct found *found;
	size_t count = 0;
	double seconds;

	if (service_list_change(cli, given->seconds, &list, &seconds, fault))
		return -1;
	found = calloc(list.count + 1, sizeof(*found));
	if (!found) {
		service_list_free(&list);
		return fault_set(fault, EXIT_FAILED, "try: out of memory: close some programs");
	}
	for (size_t i = 0; i < list.count; i++)
		if (!list.services[i].overflow && list.services[i].counts.writes)
			found[count++] =
				(struct found){ &list.services[i], finding_make(&list.services[i].counts, seconds) };
	qsort(found, count, sizeof(*found), worst_first);
	print(cli, given, found, count);
	free(found);
	service_list_free(&list);
	return 0;
}

int command_try(struct cli *cli, int argc, char **argv)
{
	struct options given = { .seconds = 30 };
	struct private_agent agent = { 0 };
	struct fault fault;
	int err;

	cli_parse(cli, &syntax, argc, argv, &given);
	fold_stdout(cli);
	if (!client_listens(cli->control)) {
		if (private_agent_start(&agent, &fault))
			return cli_fail(cli, &fault);
		cli->control = agent.control;
	}
	/* What was seen until then is told, and the agent stopped. */
	interrupt_catch(NULL);
	err = observe(cli, &given, &fault);
	if (agent.pid)
		private_agent_stop(&agent);
	interrupt_finish();
	return err ? cli_fail(cli, &fault) : EXIT_OK;
}
