/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Which control groups a policy's `cgroups` and `pods` stand for now. The data path compares ids, so patterns and pods
 * become paths when a set is compiled, and the set is compiled anew when they would become others.
 */
#pragma once
#include "policy/set.h"

/* Where to look; a test has directories of its own. */
struct expand_places {
	const char *cgroups;	/* NULL: where cgroup v2 is mounted */
	const char *containers; /* NAME_NAMESPACE_CONTAINER-ID.log */
	const char *pods;	/* NAMESPACE_NAME_UID */
};
extern struct expand_places expand_places;

/* What the machine looked like at one moment, as far as it was asked. */
struct expansion;
struct expansion *expansion_new(void);
void expansion_free(struct expansion *expansion);

/* False: the policy names no control group, so every flow's will do. Else the paths, of which there may be none. */
bool expansion_of(struct expansion *expansion, const struct policy_config *config, struct policy_strings *paths);

/* Were there more control groups than are looked at for pods? */
bool expansion_cut(const struct expansion *expansion);

/* Would the set have other paths now? */
bool policy_expansion_differs(const struct policy_set *set);
/* The directories in which a change may mean that; none where the set has neither patterns nor pods. */
void policy_expansion_dirs(const struct policy_set *set, struct policy_strings *dirs);
