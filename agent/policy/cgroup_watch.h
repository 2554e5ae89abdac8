/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Tells when a cgroup that the policies name comes or goes: inotify on what is above it, in the agent's loop. */
#pragma once
#include <systemd/sd-event.h>

#include "lib/fault.h"
#include "policy/set.h"

struct cgroup_watch;

/* Called from the event loop, once for any number of changes; policy_resolve_cgroups() then says whether one matters.
 */
typedef void cgroup_watch_changed(void *context);

/* root NULL: where cgroup v2 is mounted. */
int cgroup_watch_new(struct cgroup_watch **watch, sd_event *event, const char *root, cgroup_watch_changed *changed,
		     void *context, struct fault *fault);
/* Watches the cgroups of this set instead of those before. The set is not kept. */
int cgroup_watch_set(struct cgroup_watch *watch, const struct policy_set *set, struct fault *fault);
void cgroup_watch_free(struct cgroup_watch *watch);
