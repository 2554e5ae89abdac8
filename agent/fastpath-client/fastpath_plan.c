/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "fastpath-client/fastpath_plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MAX 64
#define PORTS_MAX 4096	  /* characters */
#define INTERFACES_MAX 16 /* what autocork-fastpath takes */

struct interfaces {
	const char *list[INTERFACES_MAX];
	size_t count;
	bool overflow;
};

static void take(struct interfaces *interfaces, const char *name)
{
	for (size_t i = 0; i < interfaces->count; i++)
		if (!strcmp(interfaces->list[i], name))
			return;
	if (interfaces->count == INTERFACES_MAX)
		interfaces->overflow = true;
	else
		interfaces->list[interfaces->count++] = name;
}

/* Receive queues to be taken: one more than the highest that a policy names, 0 for all of them. */
static unsigned int queues_of(const struct policy_set *set)
{
	unsigned int most = 0;

	for (size_t i = 1; i < set->policy_count; i++) {
		const struct policy_config *config = &set->origins[i].config;

		if (config->steer != POLICY_STEER_DPDK)
			continue;
		if (!config->queues.count)
			return 0;
		for (size_t k = 0; k < config->queues.count; k++)
			if (config->queues.list[k].last + 1u > most)
				most = config->queues.list[k].last + 1u;
	}
	return most;
}

/*
 * The UDP ports that the policies take from the interfaces: a reflector that knows them does not answer what may be its
 * own answer. NULL: all, since whole interfaces are taken, or because the list is too long for a command.
 */
static char *ports_of(const struct policy_set *set)
{
	char *text = NULL;
	size_t size;
	FILE *out = set->fastpath.interfaces.count ? NULL : open_memstream(&text, &size);
	const char *comma = "";

	for (size_t i = 1; out && i < set->policy_count; i++) {
		const struct policy_config *config = &set->origins[i].config;

		if (config->steer != POLICY_STEER_DPDK ||
		    (config->protocol != POLICY_PROTOCOL_UDP && config->protocol != POLICY_PROTOCOL_ANY))
			continue;
		for (size_t k = 0; k < config->ports.count; k++, comma = ",")
			fprintf(out, "%s%u-%u", comma, config->ports.list[k].first, config->ports.list[k].last);
	}
	if (out && fclose(out))
		return NULL;
	if (text && (!*text || strlen(text) > PORTS_MAX)) {
		free(text);
		text = NULL;
	}
	return text;
}

int fastpath_plan(const struct policy_set *set, const char *program, const char *run_dir, char ***argv,
		  struct fault *fault)
{
	struct interfaces interfaces = { 0 };
	unsigned int queues = queues_of(set);
	bool coalesce = set->fastpath.job == POLICY_JOB_COALESCE, failed = false;
	char **words, *ports;
	int count = 0;

	*argv = NULL;
	for (size_t i = 1; i < set->policy_count; i++)
		if (set->origins[i].config.steer == POLICY_STEER_DPDK)
			take(&interfaces, set->origins[i].config.interface);
	for (size_t i = 0; i < set->fastpath.interfaces.count; i++)
		take(&interfaces, set->fastpath.interfaces.list[i]);
	if (!interfaces.count)
		return 0;
	if (interfaces.overflow)
		return fault_set(fault, EXIT_CONFIG, "fast path: more than %d interfaces: name fewer", INTERFACES_MAX);
	if (coalesce && interfaces.count % 2)
		return fault_set(fault, EXIT_CONFIG,
				 "fast path: %s: `job = coalesce` forwards between pairs of interfaces: name its "
				 "partner with `interfaces =` in [fastpath], or use `job = reflect`",
				 interfaces.list[interfaces.count - 1]);
	words = calloc(WORDS_MAX, sizeof(*words));
#define ADD(...) (failed = failed || asprintf(&words[count++], __VA_ARGS__) < 0)
	failed = !words;
	ADD("%s", program);
	ADD("--name=" FASTPATH_AGENT_NAME);
	ADD("--run-dir=%s", run_dir);
	ADD("--job=%s", coalesce ? "coalesce" : "reflect");
	if (coalesce && set->fastpath.hold_us)
		ADD("--hold=%uus", set->fastpath.hold_us);
	if (queues)
		ADD("--queues=%u", queues);
	else
		ADD("--queues=all");
	ports = coalesce ? NULL : ports_of(set);
	if (ports)
		ADD("--ports=%s", ports);
	free(ports);
	for (size_t i = 0; i < interfaces.count; i++)
		ADD("--interface=%s", interfaces.list[i]);
#undef ADD
	if (failed) {
		fastpath_plan_free(words);
		return fault_set(fault, EXIT_FAILED, "fast path: out of memory");
	}
	*argv = words;
	return 0;
}

void fastpath_plan_free(char **argv)
{
	for (int i = 0; argv && argv[i]; i++)
		free(argv[i]);
	free(argv);
}

bool fastpath_plan_equal(char *const *a, char *const *b)
{
	if (!a || !b)
		return a == b;
	for (; *a && *b; a++, b++)
		if (strcmp(*a, *b))
			return false;
	return !*a && !*b;
}
