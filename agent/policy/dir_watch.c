/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * An editor writes a file in several steps, and a package or a deployment changes several files: a reload in between
 * would see half of it. So a change waits until nothing follows it. Kubernetes swaps the link `..data` to which all
 * files of a ConfigMap lead: that is a change in the directory like any other.
 *
 * The directories above are watched too, for one that is made, removed or replaced later.
 */
#include "policy/dir_watch.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/memory.h"
#include "policy/inotify.h"

#define ABOVE (IN_CREATE | IN_DELETE | IN_MOVE)
#define INSIDE (ABOVE | IN_DELETE_SELF | IN_MOVE_SELF)
#define FILES (INSIDE | IN_CLOSE_WRITE | IN_ATTRIB)
#define PATIENCE 10 /* times the settle time */

struct dir_watch {
	const char *const *dirs;
	size_t dir_count;
	int *inside; /* per directory: its watch, or -1 while it does not exist */
	uint32_t mask;
	int fd;
	sd_event_source *source, *timer;
	uint64_t settle_us, first_us;
	dir_watch_changed *changed;
	void *context;
};

static bool is_inside(const struct dir_watch *watch, int wd)
{
	for (size_t i = 0; i < watch->dir_count; i++) {
		if (watch->inside[i] == wd)
			return true;
	}
	return false;
}

static bool leads_to(const struct dir_watch *watch, const char *entry)
{
	for (size_t i = 0; i < watch->dir_count; i++) {
		if (inotify_on_path(watch->dirs[i], entry))
			return true;
	}
	return false;
}

static bool concerns(const void *context, const struct inotify_event *event)
{
	const struct dir_watch *watch = context;

	return is_inside(watch, event->wd) || (event->len && leads_to(watch, event->name));
}

static bool absent(void)
{
	return errno == ENOENT || errno == ENOTDIR || errno == EACCES;
}

/* A directory that is watched already keeps its watch. */
static int watch_dir(struct dir_watch *watch, size_t i)
{
	char *path = memory_string(watch->dirs[i]);
	int result = 0;

	for (char *at = strchr(path, '/'); at && !result; at = strchr(at + 1, '/')) {
		char kept = at[1];

		at[1] = '\0';
		if (inotify_add_watch(watch->fd, path, ABOVE | IN_ONLYDIR | IN_MASK_ADD) < 0 && !absent())
			result = -errno;
		at[1] = kept;
	}
	if (!result) {
		watch->inside[i] = inotify_add_watch(watch->fd, path, watch->mask | IN_ONLYDIR | IN_MASK_ADD);
		if (watch->inside[i] < 0 && !absent())
			result = -errno;
	}
	free(path);
	return result;
}

static int watch_all(struct dir_watch *watch)
{
	int result = 0;

	for (size_t i = 0; !result && i < watch->dir_count; i++)
		result = watch_dir(watch, i);
	return result;
}

static void wait_for_rest(struct dir_watch *watch)
{
	uint64_t now = monotonic_us(), at = now + watch->settle_us, before = 0;
	int waits = SD_EVENT_OFF;

	sd_event_source_get_enabled(watch->timer, &waits);
	if (waits == SD_EVENT_OFF)
		watch->first_us = now;
	if (at > watch->first_us + PATIENCE * watch->settle_us)
		at = watch->first_us + PATIENCE * watch->settle_us;
	/* Setting a time that has come would put it off to the next turn of the loop, and so for ever. */
	sd_event_source_get_time(watch->timer, &before);
	if (waits != SD_EVENT_OFF && at == before)
		return;
	sd_event_source_set_time(watch->timer, at);
	sd_event_source_set_enabled(watch->timer, SD_EVENT_ONESHOT);
}

static int on_change(sd_event_source *source, int fd, uint32_t events, void *context)
{
	struct dir_watch *watch = context;

	if (inotify_read(fd, concerns, watch)) {
		watch_all(watch);
		wait_for_rest(watch);
	}
	return 0;
}

void dir_watch_look(struct dir_watch *watch)
{
	wait_for_rest(watch);
}

static int on_rest(sd_event_source *source, uint64_t usec, void *context)
{
	struct dir_watch *watch = context;

	/* A directory may have come while another was put under watch. */
	watch_all(watch);
	watch->changed(watch->context);
	return 0;
}

static int start(struct dir_watch *watch, sd_event *event)
{
	int result;

	watch->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (watch->fd < 0)
		return -errno;
	if ((result = sd_event_add_io(event, &watch->source, watch->fd, EPOLLIN, on_change, watch)) < 0 ||
	    (result = sd_event_add_time(event, &watch->timer, CLOCK_MONOTONIC, UINT64_MAX, 0, on_rest, watch)) < 0 ||
	    (result = sd_event_source_set_enabled(watch->timer, SD_EVENT_OFF)) < 0)
		return result;
	return watch_all(watch);
}

int dir_watch_new(struct dir_watch **watch, sd_event *event, const char *const *dirs, enum dir_watch_of of,
		  uint64_t settle_us, dir_watch_changed *changed, void *context, struct fault *fault)
{
	struct dir_watch *it = memory_zeroed(1, sizeof(*it));
	int result;

	while (dirs[it->dir_count])
		it->dir_count++;
	*it = (struct dir_watch){
		.dirs = dirs,
		.dir_count = it->dir_count,
		.fd = -1,
		.settle_us = settle_us,
		.mask = of == DIR_WATCH_FILES ? FILES : INSIDE,
		.changed = changed,
		.context = context,
		.inside = memory_zeroed(it->dir_count, sizeof(*it->inside)),
	};
	result = start(it, event);
	if (result) {
		dir_watch_free(it);
		return inotify_fault(result, fault);
	}
	*watch = it;
	return 0;
}

void dir_watch_free(struct dir_watch *watch)
{
	if (!watch)
		return;
	sd_event_source_disable_unref(watch->source);
	sd_event_source_disable_unref(watch->timer);
	if (watch->fd >= 0)
		close(watch->fd);
	free(watch->inside);
	free(watch);
}
