/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Gives the rules the ids of the cgroups they name. */
#include <stdlib.h>

#include "lib/cgroup.h"
#include "lib/memory.h"
#include "policy/set.h"

static uint64_t find(const char *root, const char *path)
{
	char *directory = memory_format("%s%s", root, path);
	uint64_t id = cgroup_id(directory);

	free(directory);
	return id ? id : AC_CGROUP_UNRESOLVED;
}

size_t policy_resolve_cgroups_at(struct policy_set *set, const char *root)
{
	size_t changed = 0;

	for (size_t i = 0; i < set->cgroup_count; i++)
		set->cgroups[i].id = root ? find(root, set->cgroups[i].path) : AC_CGROUP_UNRESOLVED;
	for (size_t i = 0; i < set->rule_count; i++) {
		uint64_t id;

		if (!set->rule_cgroups[i])
			continue;
		id = set->cgroups[set->rule_cgroups[i] - 1].id;
		changed += set->rules[i].cgroup != id;
		set->rules[i].cgroup = id;
	}
	return changed;
}

size_t policy_resolve_cgroups(struct policy_set *set)
{
	struct fault fault;

	return set->cgroup_count ? policy_resolve_cgroups_at(set, cgroup_root(&fault)) : 0;
}
