/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The end of a policy set. */
#include <stdlib.h>

#include "policy/sections.h"
#include "policy/strings.h"

void policy_set_free(struct policy_set *set)
{
	if (!set)
		return;
	for (size_t i = 0; i < set->policy_count; i++) {
		policy_values_clear(POLICY_SECTION_POLICY, &set->origins[i].config);
		strings_free(&set->origins[i].paths);
		free(set->origins[i].name);
		free(set->origins[i].places);
	}
	for (size_t i = 0; i < set->cgroup_count; i++)
		free(set->cgroups[i].path);
	for (size_t i = 0; i < set->file_count; i++) {
		free(set->files[i]);
		free(set->texts[i].bytes);
	}
	free(set->texts);
	policy_values_clear(POLICY_SECTION_AGENT, &set->agent);
	policy_values_clear(POLICY_SECTION_FASTPATH, &set->fastpath);
	free(set->agent_places);
	free(set->fastpath_places);
	free(set->policies);
	free(set->origins);
	free(set->rules);
	free(set->rule_cgroups);
	free(set->chain);
	free(set->links);
	free(set->names);
	free(set->spans);
	free(set->cgroups);
	free(set->files);
	free(set);
}
