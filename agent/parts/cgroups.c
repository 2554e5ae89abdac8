/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "parts/cgroups.h"

#include "lib/log.h"
#include "policy/cgroup_watch.h"

static void resolve(void *context)
{
	struct daemon *daemon = context;
	struct fault fault;
	size_t changed = policy_resolve_cgroups(daemon->policy);

	if (!changed)
		return;
	if (engine_apply(daemon->engine, daemon->policy, &fault))
		log_error("control groups of the policies: %s", fault.text);
	else
		log_info("control groups of the policies came or went: %zu rules changed", changed);
}

static void watch(struct cgroup_watch *it, const struct daemon *daemon)
{
	struct fault fault;

	if (cgroup_watch_set(it, daemon->policy, &fault))
		log_warning("%s: until then, control groups that the policies name are looked up at a reload only",
			    fault.text);
}

/* Without a watch the agent does all else as it should. */
int policy_part_start(struct daemon *daemon, void **data, struct fault *fault)
{
	struct cgroup_watch *it;

	if (cgroup_watch_new(&it, daemon->loop, NULL, resolve, daemon, fault)) {
		log_warning("%s: until then, control groups that the policies name are looked up at a reload only",
			    fault->text);
		return 0;
	}
	*data = it;
	watch(it, daemon);
	resolve(daemon); /* one may have come between loading and watching */
	return 0;
}

void policy_part_stop(void *data)
{
	cgroup_watch_free(data);
}

void policy_part_reloaded(struct daemon *daemon, void *data)
{
	if (!data)
		return;
	watch(data, daemon);
	resolve(daemon);
}
