/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "daemon/report.h"

#include <autocork/flow.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/names.h"
#include "lib/version.h"

#define N(value) ((json_int_t)(value))

const char *report_mode(const struct engine_feature *features, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!strncmp(features[i].name, "wrapper", strlen("wrapper")) && features[i].works)
			return mode_names[AC_MODE_AUTOCORK];
	return mode_names[AC_MODE_OBSERVE];
}

const char *report_daemon_mode(const struct daemon *daemon)
{
	size_t count;
	const struct engine_feature *features = engine_features(daemon->engine, &count);

	return report_mode(features, count);
}

static bool wants_holds(const struct policy_set *set)
{
	for (size_t i = 1; i < set->policy_count; i++)
		if (set->policies[i].mode == AC_MODE_AUTOCORK)
			return true;
	return false;
}

const char *report_unmet(const struct daemon *daemon)
{
	if (!daemon->reload.ok)
		return "the policy files were refused, what was in force before stays: autocork policy check";
	if (wants_holds(daemon->policy) && !strcmp(report_daemon_mode(daemon), mode_names[AC_MODE_OBSERVE]))
		return "policies ask for mode autocork, and the agent can only observe here: autocork doctor";
	return daemon_parts_unmet(daemon);
}

void report_log(const struct daemon *daemon)
{
	char works[256] = "nothing";
	size_t count, used = 0;
	const struct engine_feature *features = engine_features(daemon->engine, &count);

	/* The engine has said what does not work, and why. */
	for (size_t i = 0; i < count && used < sizeof(works); i++)
		if (features[i].works)
			used += snprintf(works + used, sizeof(works) - used, "%s%s", used ? ", " : "",
					 features[i].name);
	log_info("uses of the kernel: %s", works);
	log_info("autocorkd " AUTOCORK_VERSION " runs: mode %s, policies %zu, files %zu, control socket %s",
		 report_daemon_mode(daemon), daemon->policy->policy_count - 1, daemon->policy->file_count,
		 daemon->options.control);
}

json_t *report_agent(const struct daemon *daemon)
{
	return json_pack("{ss si sI sI ss so so sI}", "version", AUTOCORK_VERSION, "pid", getpid(), "started",
			 N(daemon->started), "uptime_seconds", N((monotonic_us() - daemon->started_us) / 1000000),
			 "mode", report_daemon_mode(daemon), "control", json_text_or_null(daemon->options.control),
			 "cgroup", json_text_or_null(daemon->options.engine.cgroup), "flows_lost",
			 N(engine_flows_lost(daemon->engine)));
}

json_t *report_policy(const struct daemon *daemon)
{
	const struct reload_state *reload = &daemon->reload;
	json_t *files = json_array();

	for (size_t i = 0; i < daemon->policy->file_count; i++)
		json_array_append_new(files, json_text(daemon->policy->files[i], SIZE_MAX));
	return json_pack("{sI so so s{sI sb so sI sI}}", "policies", N(daemon->policy->policy_count - 1), "files",
			 files, "unmet", json_text_or_null(report_unmet(daemon)), "reload", "at", N(reload->at), "ok",
			 reload->ok, "error",
			 reload->ok ? json_null() : json_text(reload->error, sizeof(reload->error)), "good",
			 N(reload->good), "bad", N(reload->bad));
}

json_t *report_features(const struct engine_feature *features, size_t count)
{
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, json_pack("{ss sb so ss? ss?}", "name", features[i].name, "works",
						      features[i].works, "reason",
						      json_text(features[i].reason, sizeof(features[i].reason)),
						      "without", features[i].without, "fix", features[i].mend));
	return list;
}

/* zeros: also those. */
static json_t *counters(const char *const *names, const __u64 *counts, size_t first, size_t count, bool zeros)
{
	json_t *object = json_object();

	for (size_t i = first; i < count; i++)
		if (zeros || counts[i])
			json_object_set_new(object, names[i], json_integer(counts[i]));
	return object;
}

/* [[le, count], …]: only buckets that are not empty; the last bucket has no bound, its le is null. */
static json_t *histogram(const __u64 *buckets)
{
	json_t *list = json_array();

	for (size_t i = 0; i < AC_BUCKETS; i++)
		if (buckets[i])
			json_array_append_new(list, json_pack("[oI]",
							      i + 1 < AC_BUCKETS ? json_integer(ac_bucket_top(i)) :
										   json_null(),
							      N(buckets[i])));
	return list;
}

/* What a service has besides its counters. */
#define OWN_MEMBERS(X) \
	X(number, json_integer(service->number)) \
	X(port, json_integer(service->key.port)) \
	X(side, NAME_JSON(side_names, service->key.side)) \
	X(program, json_text(service->key.comm, sizeof(service->key.comm))) \
	X(cgroup, json_integer(N(service->key.cgroup))) \
	X(managed, json_integer(service->managed)) \
	X(mean_hold_us, mean_hold(&service->stats))

/* Each member has a bit in a set. */
enum member {
#define MEMBER(kind, ...) BIT_##kind(__VA_ARGS__)
#define BIT_COUNT(field, ...) BIT_##field,
#define BIT_TIME BIT_COUNT
#define BIT_SUM BIT_COUNT
#define BIT_OPEN BIT_COUNT
#define BIT_BY BIT_COUNT
#define BIT_LIST BIT_COUNT
#define BIT_PART(...)
#define BIT_SPREAD BIT_COUNT
	OWN_MEMBERS(BIT_COUNT) AC_COUNTERS(MEMBER) MEMBERS
#undef MEMBER
};

static const struct {
	const char *name;
	bool spread;
} members[] = {
#define MEMBER(kind, ...) NAME_##kind(__VA_ARGS__)
#define NAME_COUNT(field, ...) [BIT_##field] = { #field, false },
#define NAME_TIME NAME_COUNT
#define NAME_SUM NAME_COUNT
#define NAME_OPEN NAME_COUNT
#define NAME_BY NAME_COUNT
#define NAME_LIST NAME_COUNT
#define NAME_PART(...)
#define NAME_SPREAD(field, name, ...) [BIT_##field] = { name, true },
	OWN_MEMBERS(NAME_COUNT) AC_COUNTERS(MEMBER)
#undef MEMBER
};

_Static_assert(MEMBERS < 64, "a set of members is one word");

uint64_t report_members(bool spreads)
{
	uint64_t set = 0;

	for (size_t i = 0; i < MEMBERS; i++)
		if (spreads || !members[i].spread)
			set |= 1ull << i;
	return set;
}

int report_members_named(const json_t *names, uint64_t *set, struct fault *fault)
{
	const json_t *name;
	size_t at;

	*set = 0;
	json_array_foreach((json_t *)names, at, name) {
		const char *text = json_string_value(name) ?: "";
		size_t i = 0;

		while (i < MEMBERS && strcmp(members[i].name, text))
			i++;
		if (i == MEMBERS)
			return fault_set(fault, EXIT_USAGE,
					 "fields: a service has no \"%.40s\": name members that it has without fields",
					 text);
		*set |= 1ull << i;
	}
	return 0;
}

static json_t *mean_hold(const struct ac_service_stats *stats)
{
	uint64_t holds = 0;

	for (size_t i = 0; i < AC_BUCKETS; i++)
		holds += stats->hold_time[i];
	return holds ? json_real((double)stats->hold_us / holds) : json_null();
}

json_t *report_service(const struct engine_service *service, uint64_t set, bool zeros)
{
	const struct ac_service_stats *stats = &service->stats;
	json_t *object = json_object();

#define PUT(bit, name, value) \
	do { \
		if (set >> BIT_##bit & 1) \
			json_object_set_new(object, name, value); \
	} while (0)
#define OWN(name, value) PUT(name, #name, value);
	OWN_MEMBERS(OWN)
#define MEMBER(kind, ...) MEMBER_##kind(__VA_ARGS__)
#define MEMBER_COUNT(field, ...) PUT(field, #field, json_integer(stats->field));
#define MEMBER_TIME MEMBER_COUNT
#define MEMBER_SUM MEMBER_COUNT
/* Counted on different CPUs, so a sum may show the close of a flow before its opening. */
#define MEMBER_OPEN(name, opened, closed, ...) \
	PUT(name, #name, json_integer(stats->opened > stats->closed ? stats->opened - stats->closed : 0));
#define MEMBER_BY(field, names, first, end, ...) PUT(field, #field, counters(names, stats->field, first, end, zeros));
#define MEMBER_LIST MEMBER_BY
#define MEMBER_PART(...)
#define MEMBER_SPREAD(field, name, ...) PUT(field, name, histogram(stats->field));
	AC_COUNTERS(MEMBER)
#undef PUT
	return object;
}

json_t *report_flow(const struct daemon *daemon, const struct engine_flow *flow)
{
	const struct policy_set *policy = daemon->policy;
	json_t *object = json_pack("{sI sI so si so si so so so so so si so}", "cookie", N(flow->cookie), "netns",
				   N(flow->netns), "local", json_address(flow->local), "local_port", flow->local_port,
				   "remote", json_address(flow->remote), "remote_port", flow->remote_port, "side",
				   NAME_JSON(side_names, flow->side), "mode", NAME_JSON(mode_names, flow->mode),
				   "wrapper", NAME_JSON(wrapper_names, flow->wrapper), "refusal",
				   flow->refusal ? NAME_JSON(refusal_names, flow->refusal) : json_null(), "program",
				   json_text(flow->comm, sizeof(flow->comm)), "service", flow->service, "policy",
				   flow->policy < policy->policy_count ?
					   json_text(policy->origins[flow->policy].name, SIZE_MAX) :
					   json_null());

#define PUT(name) json_object_set_new(object, #name, json_integer(flow->name))
	PUT(writes);
	PUT(written_bytes);
	PUT(bursts);
	PUT(held);
	PUT(saved_wait_us);
	PUT(misses);
	PUT(age_us);
#undef PUT
	return object;
}
