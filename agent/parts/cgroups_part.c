/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "parts/cgroups_part.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/log.h"
#include "lib/memory.h"
#include "policy/cgroup_watch.h"
#include "policy/dir_watch.h"
#include "policy/expand.h"
#include "policy/strings.h"

#define SETTLE_US 200000 /* a pod's groups and links come one after another */

struct groups {
	struct daemon *daemon;
	struct cgroup_watch *named; /* paths */
	struct dir_watch *around;   /* where what patterns and pods stand for comes and goes; NULL: there are none */
	struct policy_strings dirs; /* watched by it */
	const char **list;	    /* the same, ended by NULL */
	char error[640];	    /* why what they stand for now is not in force; "" if it is */
};

static void warn(const struct fault *fault)
{
	log_warning("%s: until then, control groups that the policies name are looked up at a reload only",
		    fault->text);
}

static void refuse(struct groups *it, const char *what, const struct fault *fault)
{
	snprintf(it->error, sizeof(it->error), "%s: %s", what, fault->text);
	log_error("%s; what was in force stays", it->error);
}

static void resolve(void *context)
{
	struct groups *it = context;
	struct daemon *daemon = it->daemon;
	struct fault fault;
	size_t changed = policy_resolve_cgroups(daemon->policy);

	if (!changed)
		return;
	if (engine_apply(daemon->engine, daemon->policy, &fault)) {
		refuse(it, "control groups of the policies", &fault);
		return;
	}
	log_info("control groups of the policies came or went: %zu rules changed", changed);
	if (!policy_expansion_differs(daemon->policy))
		*it->error = '\0';
}

static void stop_around(struct groups *it)
{
	dir_watch_free(it->around);
	it->around = NULL;
	strings_free(&it->dirs);
	free(it->list);
	it->list = NULL;
}

static void watch_around(struct groups *it);

static void expand(void *context)
{
	struct groups *it = context;
	struct fault fault;

	if (!policy_expansion_differs(it->daemon->policy)) {
		*it->error = '\0';
		watch_around(it);
	} else if (daemon_expand(it->daemon, &fault)) {
		refuse(it, "patterns and pods of the policies", &fault);
		watch_around(it);
	} else {
		log_info("control groups that patterns and pods of the policies stand for came or went");
	}
}

/* Groups have come or gone, and with them directories to watch. */
static void watch_around(struct groups *it)
{
	struct policy_strings dirs;
	struct fault fault;

	policy_expansion_dirs(it->daemon->policy, &dirs);
	if (it->around && strings_equal(&dirs, &it->dirs)) {
		strings_free(&dirs);
		return;
	}
	stop_around(it);
	it->dirs = dirs;
	if (!dirs.count)
		return;
	it->list = memory_zeroed(dirs.count + 1, sizeof(*it->list));
	for (size_t i = 0; i < dirs.count; i++)
		it->list[i] = dirs.list[i];
	if (dir_watch_new(&it->around, it->daemon->loop, it->list, DIR_WATCH_ENTRIES, SETTLE_US, expand, it, &fault))
		warn(&fault);
	else if (policy_expansion_differs(it->daemon->policy))
		dir_watch_look(it->around); /* one came between compiling and watching */
}

static void watch(struct groups *it)
{
	struct fault fault;

	*it->error = '\0';
	if (cgroup_watch_set(it->named, it->daemon->policy, &fault))
		warn(&fault);
	resolve(it); /* one may have come between loading and watching */
	watch_around(it);
}

/* Without a watch the agent does all else as it should. */
int policy_part_start(struct daemon *daemon, void **data, struct fault *fault)
{
	struct groups *it = memory_zeroed(1, sizeof(*it));

	it->daemon = daemon;
	if (cgroup_watch_new(&it->named, daemon->loop, NULL, resolve, it, fault)) {
		warn(fault);
		free(it);
		return 0;
	}
	*data = it;
	watch(it);
	return 0;
}

void policy_part_stop(void *data)
{
	struct groups *it = data;

	if (!it)
		return;
	stop_around(it);
	cgroup_watch_free(it->named);
	free(it);
}

void policy_part_reloaded(struct daemon *daemon, void *data)
{
	if (data)
		watch(data);
}

const char *policy_part_unmet(const struct daemon *daemon, const void *data)
{
	const struct groups *it = data;

	if (it && *it->error)
		return it->error;
	return daemon->policy->pods_cut ? "pods: there are more control groups than are looked at, some pods may be "
					  "missed: name their control groups in `cgroups`" :
					  NULL;
}
