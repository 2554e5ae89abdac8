/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "engine/tables.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "policy/links.h"

/* Array maps keep each value in a multiple of 8 bytes (array_map_alloc()). */
#define STRIDE(type) ((sizeof(type) + 7) & ~(size_t)7)

static const struct {
	const char *map;
	size_t stride, half; /* bytes per value, values per half */
} layout[TABLE_MAX] = {
	[TABLE_PORTS] = { "ports", STRIDE(struct ac_port), AC_PORTS },
	[TABLE_SPANS] = { "spans", STRIDE(struct ac_span), AC_SPANS_MAX },
	[TABLE_LINKS] = { "links", STRIDE(struct ac_link), AC_LINKS_MAX },
	[TABLE_NAMES] = { "names", STRIDE(struct ac_name), AC_NAMES },
	[TABLE_GROUPS] = { "groups", STRIDE(struct ac_group), AC_GROUPS },
	[TABLE_RULES] = { "rules", STRIDE(struct ac_rule), AC_RULES_MAX },
	[TABLE_POLICIES] = { "policies", STRIDE(struct ac_policy), AC_POLICIES_MAX },
};

static size_t to_pages(size_t bytes)
{
	size_t page = sysconf(_SC_PAGESIZE);

	return (bytes + page - 1) / page * page;
}

static void *map_memory(const struct shared_maps *shared, const char *name, size_t bytes, struct fault *fault)
{
	void *memory = mmap(NULL, to_pages(bytes), PROT_READ | PROT_WRITE, MAP_SHARED, objects_map(shared, name), 0);

	if (memory == MAP_FAILED) {
		fault_set(fault, EXIT_FAILED,
			  "map %s: cannot be mapped into memory: %s: check the memory limit of autocorkd", name,
			  strerror(errno));
		return NULL;
	}
	return memory;
}

unsigned int engine_stats_slots(void)
{
	int cpus = libbpf_num_possible_cpus();

	return cpus > 0 && cpus < AC_STATS_SLOTS ? (unsigned int)cpus : AC_STATS_SLOTS;
}

static size_t stats_size(const struct tables *tables)
{
	return (size_t)tables->stats_slots * AC_SERVICES_MAX * sizeof(*tables->stats);
}

int engine_tables_map(struct tables *tables, const struct shared_maps *shared, struct fault *fault)
{
	tables->control = map_memory(shared, "control", sizeof(struct ac_control), fault);
	if (!tables->control)
		return -1;
	tables->live = map_memory(shared, "live", AC_SERVICES_MAX * sizeof(*tables->live), fault);
	if (!tables->live)
		return -1;
	tables->stats_slots = engine_stats_slots();
	tables->stats = map_memory(shared, "service_stats", stats_size(tables), fault);
	if (!tables->stats)
		return -1;
	tables->dumped = map_memory(shared, "dumped", AC_WALK_STEP * sizeof(*tables->dumped), fault);
	if (!tables->dumped)
		return -1;
	for (int t = 0; t < TABLE_MAX; t++) {
		tables->table[t] = map_memory(shared, layout[t].map, 2 * layout[t].half * layout[t].stride, fault);
		if (!tables->table[t])
			return -1;
	}
	return 0;
}

void engine_tables_unmap(struct tables *tables)
{
	if (tables->control)
		munmap(tables->control, to_pages(sizeof(struct ac_control)));
	if (tables->live)
		munmap(tables->live, to_pages(AC_SERVICES_MAX * sizeof(*tables->live)));
	if (tables->stats)
		munmap(tables->stats, to_pages(stats_size(tables)));
	if (tables->dumped)
		munmap(tables->dumped, to_pages(AC_WALK_STEP * sizeof(*tables->dumped)));
	for (int t = 0; t < TABLE_MAX; t++)
		if (tables->table[t])
			munmap(tables->table[t], to_pages(2 * layout[t].half * layout[t].stride));
	memset(tables, 0, sizeof(*tables));
}

void engine_stats_add(struct ac_service_stats *sum, const struct ac_service_stats *more)
{
	const uint64_t *from = (const uint64_t *)more;
	uint64_t *to = (uint64_t *)sum;

	/* All members are counters. */
	for (size_t i = 0; i < sizeof(*sum) / sizeof(*to); i++)
		to[i] += from[i];
}

void engine_tables_sum(const struct tables *tables, uint32_t service, struct ac_service_stats *sum)
{
	for (unsigned int slot = 0; slot < tables->stats_slots; slot++)
		engine_stats_add(sum, &tables->stats[ac_stats_at(slot, service)]);
}

static void fill(struct tables *tables, enum table t, unsigned int half, const void *from, size_t size, size_t count)
{
	char *to = (char *)tables->table[t] + half * layout[t].half * layout[t].stride;

	for (size_t i = 0; i < count; i++)
		memcpy(to + i * layout[t].stride, (const char *)from + i * size, size);
}

static bool asks_for_cgroups(const struct policy_set *set)
{
	for (size_t i = 0; i < set->rule_count; i++)
		if (set->rules[i].cgroup)
			return true;
	return false;
}

static bool asks_for_programs(const struct policy_set *set)
{
	for (size_t i = 0; i < set->rule_count; i++)
		if (set->rules[i].program[0])
			return true;
	return false;
}

/* The shortest max_hold, and the shortest that a hold may last at all: a feed's ends sooner. */
static void set_shortest_holds(struct ac_control *control, const struct policy_set *set)
{
	uint32_t max_hold = UINT32_MAX, shortest = UINT32_MAX, feed;

	for (size_t i = 0; i < set->policy_count; i++) {
		const struct ac_policy *policy = &set->policies[i];

		if (policy->mode != AC_MODE_AUTOCORK)
			continue;
		feed = AC_FEED_HOLD * policy->packet_worth_us;
		if (policy->max_hold_us < max_hold)
			max_hold = policy->max_hold_us;
		if (feed < shortest)
			shortest = feed;
	}
	__atomic_store_n(&control->max_hold_us, max_hold, __ATOMIC_RELAXED);
	__atomic_store_n(&control->hold_min_us, shortest < max_hold ? shortest : max_hold, __ATOMIC_RELAXED);
}

void engine_tables_apply(struct tables *tables, const struct policy_set *set)
{
	struct ac_control *control = tables->control;
	unsigned int half = !(control->policy_half & 1);
	bool cgroups = asks_for_cgroups(set);

	set_shortest_holds(control, set);
	fill(tables, TABLE_POLICIES, half, set->policies, sizeof(*set->policies), set->policy_count);
	fill(tables, TABLE_RULES, half, set->rules, sizeof(*set->rules), set->rule_count);
	fill(tables, TABLE_LINKS, half, set->links, sizeof(*set->links), set->link_count);
	fill(tables, TABLE_NAMES, half, set->names, sizeof(*set->names), AC_NAMES);
	links_groups(set, (struct ac_group *)tables->table[TABLE_GROUPS] + half * AC_GROUPS);
	fill(tables, TABLE_SPANS, half, set->spans, sizeof(*set->spans), set->span_count);
	fill(tables, TABLE_PORTS, half, set->ports, sizeof(*set->ports), AC_PORTS);
	__atomic_store_n(&control->program_rules, asks_for_programs(set), __ATOMIC_RELAXED);
	/* On before the rules are in force, off after: too many look-ups in between do no harm. */
	if (cgroups)
		__atomic_store_n(&control->cgroup_rules, true, __ATOMIC_RELEASE);
	__atomic_store_n(&control->policy_half, half, __ATOMIC_RELEASE);
	if (!cgroups)
		__atomic_store_n(&control->cgroup_rules, false, __ATOMIC_RELEASE);
	__atomic_fetch_add(&control->policy_generation, 1, __ATOMIC_RELEASE);
}
