/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The metrics of the agent itself: what it costs, what the kernel offers it, whether its policy is in force. */
#include <inttypes.h>

#include "telemetry/page.h"

#define LISTED_MAX 48 /* a longer list is cut, and the rest added up in one series */

/* Of the agent itself: one value each. */
struct agent_metric {
	const char *name;
	enum metric_kind kind;
	const char *unit;
	const char *help;
	size_t field;
	enum { U64, DOUBLE, BOOL } type;
};

#define AGENT(name) offsetof(struct telemetry_agent, name)

static const struct agent_metric agent_metrics[] = {
	{ "start_time_seconds", GAUGE, "seconds", "Unix time at which the agent started.", AGENT(start_time), DOUBLE },
	{ "agent_cpu_seconds", COUNTER, "seconds", "CPU time of the agent's process.", AGENT(cpu_seconds), DOUBLE },
	{ "agent_memory_bytes", GAUGE, "bytes", "Resident memory of the agent's process.", AGENT(memory_bytes), U64 },
	{ "agent_descriptors", GAUGE, "", "File descriptors that the agent has open.", AGENT(descriptors), U64 },
	{ "policy_reload_success", GAUGE, "", "1 if the last reload was applied, 0 if the last good policy is kept.",
	  AGENT(reload_good), BOOL },
	{ "policy_reload_time_seconds", GAUGE, "seconds", "Unix time of the last reload.", AGENT(reload_time), DOUBLE },
	{ "policy_reloads", COUNTER, "", "Reloads that were applied.", AGENT(reloads_good), U64 },
	{ "policy_reload_failures", COUNTER, "", "Reloads that were refused.", AGENT(reloads_failed), U64 },
	{ "policy_in_force", GAUGE, "",
	  "1 if everything in the policy files is in force, as /-/ready reports; 0 otherwise.", AGENT(in_force), BOOL },
	{ "policies", GAUGE, "", "Policies in force.", AGENT(policies), U64 },
	{ "flows_lost", COUNTER, "", "Connections not followed because --max-flows were open already.",
	  AGENT(flows_lost), U64 },
	{ "events_lost", COUNTER, "",
	  "Events that were lost: the kernel's ring was full, or a listener read too slowly.", AGENT(events_lost),
	  U64 },
	{ "bpf_measured_seconds", COUNTER, "seconds", "Time in which the kernel measured the run time of BPF programs.",
	  AGENT(measured_seconds), DOUBLE },
	{ "sampling_ratio", GAUGE, "",
	  "Share of the time in which telemetry looks at observed flows; 1 while its cost is within the budget.",
	  AGENT(sampling), DOUBLE },
	{ "http_requests", COUNTER, "", "Requests that the agent's HTTP server answered.", AGENT(http_requests), U64 },
	{ "http_refused", COUNTER, "", "HTTP connections dropped: too many, too slow or malformed.",
	  AGENT(http_refused), U64 },
	{ "scrape_duration_seconds", GAUGE, "seconds", "Time taken to produce the last metrics page.",
	  AGENT(scrape_seconds), DOUBLE },
};

static void page_values(struct page *page, const struct telemetry_agent *agent)
{
	for (size_t i = 0; i < AC_ARRAY_SIZE(agent_metrics); i++) {
		const struct agent_metric *metric = &agent_metrics[i];
		const void *field = (const char *)agent + metric->field;

		page_head(page, metric->name, metric->kind, metric->unit, metric->help);
		fprintf(page->out, PREFIX "%s%s ", metric->name, metric_suffix(metric->kind));
		if (metric->type == U64)
			fprintf(page->out, "%" PRIu64 "\n", *(const uint64_t *)field);
		else
			fprintf(page->out, "%.15g\n",
				metric->type == BOOL ? *(const bool *)field : *(const double *)field);
		page->series++;
	}
}

/* A named list of the agent's: programs, maps, features. What is past LISTED_MAX is one more entry, "other". */
struct list_metric {
	const char *name;
	enum metric_kind kind;
	const char *unit;
	const char *label;
	const char *help;
	size_t (*count)(const struct telemetry_snapshot *snapshot);
	const char *(*item)(const struct telemetry_snapshot *snapshot, size_t i, double *value);
};

static size_t program_count(const struct telemetry_snapshot *snapshot)
{
	return snapshot->program_count;
}

static const char *program_seconds(const struct telemetry_snapshot *snapshot, size_t i, double *value)
{
	*value = snapshot->programs[i].run_ns * 1e-9;
	return snapshot->programs[i].name;
}

static const char *program_runs(const struct telemetry_snapshot *snapshot, size_t i, double *value)
{
	*value = snapshot->programs[i].runs;
	return snapshot->programs[i].name;
}

static size_t map_count(const struct telemetry_snapshot *snapshot)
{
	return snapshot->map_count;
}

static const char *map_bytes(const struct telemetry_snapshot *snapshot, size_t i, double *value)
{
	*value = snapshot->maps[i].bytes;
	return snapshot->maps[i].name;
}

static size_t feature_count(const struct telemetry_snapshot *snapshot)
{
	return snapshot->feature_count;
}

static const char *feature_works(const struct telemetry_snapshot *snapshot, size_t i, double *value)
{
	*value = snapshot->features[i].works;
	return snapshot->features[i].name;
}

static size_t version_count(const struct telemetry_snapshot *snapshot)
{
	return snapshot->agent.version ? 1 : 0;
}

static const char *version_item(const struct telemetry_snapshot *snapshot, size_t i, double *value)
{
	*value = 1;
	return snapshot->agent.version;
}

static size_t mode_count(const struct telemetry_snapshot *snapshot)
{
	return snapshot->agent.mode ? 1 : 0;
}

static const char *mode_item(const struct telemetry_snapshot *snapshot, size_t i, double *value)
{
	*value = 1;
	return snapshot->agent.mode;
}

static const struct list_metric list_metrics[] = {
	{ "build", INFO, "", "version", "The agent's version.", version_count, version_item },
	{ "mode", GAUGE, "", "mode", "1 for the mode that this kernel allows: autocork or observe.", mode_count,
	  mode_item },
	{ "feature", GAUGE, "", "feature", "1 if the kernel offers the feature, tried at start.", feature_count,
	  feature_works },
	{ "bpf_run_seconds", COUNTER, "seconds", "program",
	  "Run time of a BPF program in the time that was measured (autocork_bpf_measured_seconds_total).",
	  program_count, program_seconds },
	{ "bpf_runs", COUNTER, "", "program", "Runs of a BPF program in the time that was measured.", program_count,
	  program_runs },
	{ "bpf_map_memory_bytes", GAUGE, "bytes", "map", "Memory of a BPF map.", map_count, map_bytes },
};

static void page_lists(struct page *page, const struct telemetry_snapshot *snapshot)
{
	for (size_t m = 0; m < AC_ARRAY_SIZE(list_metrics); m++) {
		const struct list_metric *metric = &list_metrics[m];
		size_t count = metric->count(snapshot);
		const char *suffix = metric_suffix(metric->kind), *name;
		double value, rest = 0;

		page_head(page, metric->name, metric->kind, metric->unit, metric->help);
		for (size_t i = 0; i < count; i++) {
			name = metric->item(snapshot, i, &value);
			if (i >= LISTED_MAX) {
				rest += value;
				continue;
			}
			fprintf(page->out, PREFIX "%s%s{", metric->name, suffix);
			page_label(page, metric->label, name, true);
			fprintf(page->out, "} %.15g\n", value);
			page->series++;
		}
		if (count > LISTED_MAX) {
			fprintf(page->out, PREFIX "%s%s{%s=\"other\"} %.15g\n", metric->name, suffix, metric->label,
				rest);
			page->series++;
		}
	}
}

void page_agent(struct page *page, const struct telemetry_snapshot *snapshot)
{
	page_values(page, &snapshot->agent);
	page_lists(page, snapshot);
}

void agent_families(void (*visit)(const struct metrics_family *family, void *context), void *context)
{
	for (size_t i = 0; i < AC_ARRAY_SIZE(agent_metrics); i++) {
		const struct agent_metric *m = &agent_metrics[i];

		visit(&(struct metrics_family){ m->name, metric_kind_name(m->kind), m->unit, "", m->help }, context);
	}
	for (size_t i = 0; i < AC_ARRAY_SIZE(list_metrics); i++) {
		const struct list_metric *m = &list_metrics[i];

		visit(&(struct metrics_family){ m->name, metric_kind_name(m->kind), m->unit, m->label, m->help },
		      context);
	}
}
