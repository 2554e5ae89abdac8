/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * A cgroup's id is of use only while the cgroup lives: systemd removes a service's when it stops and makes another at
 * its next start. So every directory above a named cgroup is watched for entries that come and go, and because a
 * directory may have been filled before its watch was in place, everything is watched and resolved anew after each
 * change.
 */
#include "policy/cgroup_watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/cgroup.h"
#include "lib/memory.h"
#include "policy/inotify.h"

struct cgroup_watch {
	char *root;
	char **paths; /* as the policies give them */
	size_t path_count;
	int fd;
	sd_event_source *source;
	cgroup_watch_changed *changed;
	void *context;
};

/* Keeps the coming and going of other services from costing anything. */
static bool concerns(const void *context, const struct inotify_event *event)
{
	const struct cgroup_watch *watch = context;

	for (size_t i = 0; event->len && i < watch->path_count; i++) {
		if (inotify_on_path(watch->paths[i], event->name))
			return true;
	}
	return false;
}

/* Watches each directory from the root down to the parent of the path, as far as they exist. */
static int watch_above(struct cgroup_watch *watch, const char *path)
{
	char *directory = memory_format("%s%s", watch->root, path);
	char *at = directory + strlen(watch->root);
	int result = 0;

	while (!result && at) {
		*at = '\0';
		if (inotify_add_watch(watch->fd, directory, IN_CREATE | IN_DELETE | IN_MOVE | IN_ONLYDIR) < 0) {
			result = errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
			break;
		}
		*at = '/';
		at = strchr(at + 1, '/');
	}
	free(directory);
	return result;
}

static int watch_all(struct cgroup_watch *watch)
{
	int result = 0;

	for (size_t i = 0; !result && i < watch->path_count; i++)
		result = watch_above(watch, watch->paths[i]);
	return result;
}

static int on_change(sd_event_source *source, int fd, uint32_t events, void *context)
{
	struct cgroup_watch *watch = context;

	if (inotify_read(fd, concerns, watch)) {
		watch_all(watch);
		watch->changed(watch->context);
	}
	return 0;
}

/* Another descriptor is the one way to drop all watches at once. */
static int open_again(struct cgroup_watch *watch, sd_event *event)
{
	int result;

	watch->source = sd_event_source_disable_unref(watch->source);
	if (watch->fd >= 0)
		close(watch->fd);
	watch->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (watch->fd < 0)
		return -errno;
	result = sd_event_add_io(event, &watch->source, watch->fd, EPOLLIN, on_change, watch);
	return result < 0 ? result : 0;
}

static void forget_paths(struct cgroup_watch *watch)
{
	for (size_t i = 0; i < watch->path_count; i++)
		free(watch->paths[i]);
	free(watch->paths);
	watch->paths = NULL;
	watch->path_count = 0;
}

int cgroup_watch_new(struct cgroup_watch **watch, sd_event *event, const char *root, cgroup_watch_changed *changed,
		     void *context, struct fault *fault)
{
	struct cgroup_watch *it;
	int result;

	*watch = NULL;
	if (!root)
		root = cgroup_root(fault);
	if (!root)
		return -1;
	it = memory_zeroed(1, sizeof(*it));
	it->root = memory_string(root);
	it->changed = changed;
	it->context = context;
	it->fd = -1;
	result = open_again(it, event);
	if (result) {
		cgroup_watch_free(it);
		return inotify_fault(result, fault);
	}
	*watch = it;
	return 0;
}

int cgroup_watch_set(struct cgroup_watch *watch, const struct policy_set *set, struct fault *fault)
{
	int result = 0;

	forget_paths(watch);
	watch->path_count = set->cgroup_count;
	watch->paths = memory_zeroed(set->cgroup_count, sizeof(*watch->paths));
	for (size_t i = 0; i < set->cgroup_count; i++)
		watch->paths[i] = memory_string(set->cgroups[i].path);
	result = open_again(watch, sd_event_source_get_event(watch->source));
	if (!result)
		result = watch_all(watch);
	return result ? inotify_fault(result, fault) : 0;
}

void cgroup_watch_free(struct cgroup_watch *watch)
{
	if (!watch)
		return;
	forget_paths(watch);
	sd_event_source_disable_unref(watch->source);
	if (watch->fd >= 0)
		close(watch->fd);
	free(watch->root);
	free(watch);
}
