/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Compiles merged sections: policies, and one rule per combination of their lists; chains.c then orders the rules. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"
#include "policy/chains.h"
#include "policy/expand.h"
#include "policy/links.h"
#include "policy/sections.h"

/* Where in set->cgroups a path is. */
struct known_path {
	const char *path;
	uint32_t index; /* plus one */
	UT_hash_handle hh;
};

static uint32_t cgroup_index(struct policy_set *set, const char *path, struct known_path **known)
{
	struct known_path *entry;

	if (!strcmp(path, "/"))
		return 0;
	HASH_FIND_STR(*known, path, entry);
	if (!entry) {
		set->cgroups = memory_room(set->cgroups, set->cgroup_count, sizeof(*set->cgroups));
		set->cgroups[set->cgroup_count] = (struct policy_cgroup){ memory_string(path), AC_CGROUP_UNRESOLVED };
		entry = memory_zeroed(1, sizeof(*entry));
		entry->path = path;
		entry->index = (uint32_t)++set->cgroup_count;
		HASH_ADD_KEYPTR(hh, *known, entry->path, strlen(path), entry);
	}
	return entry->index;
}

static void add_rule(struct policy_set *set, const struct ac_rule *rule, uint32_t cgroup)
{
	set->rules = memory_room(set->rules, set->rule_count, sizeof(*set->rules));
	set->rule_cgroups = memory_room(set->rule_cgroups, set->rule_count, sizeof(*set->rule_cgroups));
	set->rules[set->rule_count] = *rule;
	set->rule_cgroups[set->rule_count++] = cgroup;
}

static size_t at_least_one(size_t count)
{
	return count ? count : 1;
}

/* How many rules a policy's lists make, or more than AC_RULES_MAX. Each list has fewer than 2^20 elements: no overflow.
 */
static uint64_t combinations(const struct policy_config *config, size_t paths)
{
	uint64_t some = (uint64_t)at_least_one(config->programs.count) * paths;

	return some > AC_RULES_MAX ? some : some * at_least_one(config->peers.count);
}

static void add_rules(struct policy_set *set, uint32_t policy, size_t groups, struct known_path **known)
{
	const struct policy_config *config = &set->origins[policy].config;
	const struct policy_strings *paths = &set->origins[policy].paths;

	for (size_t p = 0; p < at_least_one(config->programs.count); p++) {
		for (size_t c = 0; c < groups; c++) {
			for (size_t a = 0; a < at_least_one(config->peers.count); a++) {
				struct ac_rule rule = { .policy = policy, .side = config->side };
				uint32_t cgroup = 0;

				/* A lone star is no condition, and must not rank as one. */
				if (config->programs.count && strcmp(config->programs.list[p], "*"))
					memcpy(rule.program, config->programs.list[p],
					       strlen(config->programs.list[p]));
				if (paths->count)
					cgroup = cgroup_index(set, paths->list[c], known);
				if (config->peers.count) {
					memcpy(rule.peer, config->peers.list[a].address, sizeof(rule.peer));
					rule.peer_bits = config->peers.list[a].bits;
				}
				rule.cgroup = cgroup ? AC_CGROUP_UNRESOLVED : 0;
				add_rule(set, &rule, cgroup);
			}
		}
	}
}

static struct policy_origin *add_policy(struct policy_set *set, const struct policy_config *config)
{
	struct policy_origin *origin = &set->origins[set->policy_count];

	origin->config = *config;
	set->policies[set->policy_count++] = (struct ac_policy){
		.mode = config->mode,
		.adopt = config->adopt,
		.need_max = (uint16_t)lround(1 / (1 - config->confidence)),
		.max_hold_us = config->max_hold_us,
		.burst_gap_us = config->burst_gap_us,
		.rto_min_us = config->rto_min_us,
		.packet_worth_us = config->packet_worth_us,
	};
	return origin;
}

/* What holds where no file says otherwise: observe every flow, also those that exist already. */
static void add_built_in(struct policy_set *set)
{
	struct policy_config config;
	struct policy_origin *origin;

	policy_values_init(POLICY_SECTION_POLICY, &config);
	config.mode = AC_MODE_OBSERVE;
	config.adopt = true;
	origin = add_policy(set, &config);
	origin->name = memory_string("built-in");
	origin->ruled = true;
	origin->places = memory_zeroed(policy_section_kind(POLICY_SECTION_POLICY)->key_count, sizeof(*origin->places));
}

static void take_policy(struct policy_set *set, struct section *section, struct expansion *expansion,
			struct known_path **known, struct policy_errors *errors)
{
	struct policy_origin *origin = add_policy(set, section->values);
	uint64_t rules;
	size_t groups;

	origin->name = memory_string(section_policy_name(section));
	origin->file = section->file;
	origin->line = section->line;
	origin->places = section->places;
	origin->ruled = section->places[policy_key_find(POLICY_SECTION_POLICY, "mode")].file;
	free(section->values);
	section->values = NULL;
	section->places = NULL;
	if (!origin->ruled)
		return;
	/* Patterns and pods that stand for nothing now make no rule. */
	groups = expansion_of(expansion, &origin->config, &origin->paths) ? origin->paths.count : 1;
	rules = combinations(&origin->config, groups);
	if (rules + set->rule_count > AC_RULES_MAX) {
		policy_error_add(errors, origin->file, origin->line,
				 "[%s]: its programs x cgroups x peers make %llu rules after %zu earlier ones: allowed "
				 "are %u in all",
				 section->title, (unsigned long long)rules, set->rule_count, AC_RULES_MAX);
		return;
	}
	add_rules(set, (uint32_t)set->policy_count - 1, groups, known);
}

/* Moves a section's struct and places into the set; without the section, its defaults. */
static struct policy_place *take_values(struct sections *sections, enum policy_section kind, void *values)
{
	const struct policy_section_kind *about = policy_section_kind(kind);
	struct policy_place *places;
	struct section *section;

	HASH_FIND_STR(sections->by_title, about->name, section);
	if (!section) {
		policy_values_init(kind, values);
		return memory_zeroed(about->key_count, sizeof(*places));
	}
	memcpy(values, section->values, about->size);
	free(section->values);
	section->values = NULL;
	places = section->places;
	section->places = NULL;
	return places;
}

static void add_overflow(const struct policy_set *set, const struct chains_overflow *overflow,
			 struct policy_errors *errors)
{
	const struct policy_origin *origin = &set->origins[overflow->policy];

	policy_error_add(errors, origin->file, origin->line,
			 "[policy %s]: too many overlapping policies: %zu rules apply to port %u, most of them of this "
			 "one, and %s of all ports together exceed what is allowed, %u: name fewer ports in policies "
			 "that have many %s",
			 origin->name, overflow->rules, overflow->port,
			 overflow->spans ? "the stretches of addresses between peers" : "the lists of rules",
			 overflow->spans ? AC_SPANS_MAX : AC_CHAIN_MAX,
			 overflow->spans ? "peers" : "programs, cgroups or peers");
}

struct policy_set *policy_compile(struct sections *sections, struct policy_errors *errors)
{
	struct policy_set *set = memory_zeroed(1, sizeof(*set));
	size_t errors_before = errors->count;
	struct known_path *known = NULL, *path, *next_path;
	struct section *section, *next;
	struct expansion *expansion = expansion_new();
	struct chains_overflow overflow;

	set->policies = memory_zeroed(sections->policies + 1, sizeof(*set->policies));
	set->origins = memory_zeroed(sections->policies + 1, sizeof(*set->origins));
	add_built_in(set);
	HASH_ITER(hh, sections->by_title, section, next) {
		if (section->kind != POLICY_SECTION_POLICY)
			continue;
		if (set->policy_count == AC_POLICIES_MAX) {
			policy_error_add(errors, section->file, section->line,
					 "[%s]: too many policies: allowed are %u", section->title,
					 AC_POLICIES_MAX - 1);
			break;
		}
		take_policy(set, section, expansion, &known, errors);
	}
	set->pods_cut = expansion_cut(expansion);
	expansion_free(expansion);
	set->agent_places = take_values(sections, POLICY_SECTION_AGENT, &set->agent);
	set->fastpath_places = take_values(sections, POLICY_SECTION_FASTPATH, &set->fastpath);
	set->files = sections->files;
	set->file_count = sections->file_count;
	set->texts = sections->texts;
	sections->files = NULL;
	sections->texts = NULL;
	sections->file_count = 0;

	if (errors->count == errors_before) {
		if (chains_build(set, &overflow))
			links_build(set);
		else
			add_overflow(set, &overflow, errors);
	}
	HASH_ITER(hh, known, path, next_path) {
		HASH_DEL(known, path);
		free(path);
	}
	if (errors->count > errors_before) {
		policy_set_free(set);
		return NULL;
	}
	policy_resolve_cgroups(set);
	return set;
}
