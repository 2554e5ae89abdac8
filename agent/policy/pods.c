/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The kubelet makes a directory /var/log/pods/NAMESPACE_NAME_UID for each pod before its first container starts, and a
 * link /var/log/containers/NAME_NAMESPACE_CONTAINER-ID.log for each container. The pod's control group has the UID in
 * its name (`kubepods-burstable-podUID.slice` with `_` for `-`, or `podUID`), a container's has the ID
 * (`cri-containerd-ID.scope`, `crio-ID.scope`, `docker-ID.scope`, or `ID`). So no API server has to be asked.
 */
#include "policy/pods.h"

#include <ctype.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "lib/memory.h"

#define ID_LENGTH 64
#define UID_MIN 32 /* of a static pod: a hash */
#define UID_MAX 36
#define DEPTH_MAX 16

/* What the name of a control group has of a pod or container. */
struct mark {
	char text[ID_LENGTH + 1];
	char *pod;
	UT_hash_handle hh;
};

struct reading {
	struct pods *pods;
	struct mark *marks;
	size_t dirs;
};

static void add_mark(struct reading *reading, const char *text, size_t length, char *pod)
{
	struct mark *mark;

	HASH_FIND(hh, reading->marks, text, length, mark);
	if (mark) {
		free(pod);
		return;
	}
	mark = memory_zeroed(1, sizeof(*mark));
	memcpy(mark->text, text, length);
	mark->pod = pod;
	HASH_ADD_KEYPTR(hh, reading->marks, mark->text, length, mark);
}

/* Names of pods and namespaces have no underscore. */
static bool split(const char *name, const char **first, const char **second)
{
	*first = strchr(name, '_');
	*second = *first ? strchr(*first + 1, '_') : NULL;
	return *second;
}

static void take_container(struct reading *reading, const char *name)
{
	size_t length = strlen(name), tail = ID_LENGTH + strlen(".log");
	const char *first, *second;

	if (length <= tail || strcmp(name + length - strlen(".log"), ".log") || !split(name, &first, &second) ||
	    second > name + length - tail)
		return;
	add_mark(reading, name + length - tail, ID_LENGTH,
		 memory_format("%.*s/%.*s", (int)(second - first - 1), first + 1, (int)(first - name), name));
}

static void take_pod(struct reading *reading, const char *name)
{
	const char *first, *second;
	size_t length;

	if (!split(name, &first, &second))
		return;
	length = strlen(second + 1);
	if (length >= UID_MIN && length <= UID_MAX)
		add_mark(reading, second + 1, length,
			 memory_format("%.*s/%.*s", (int)(first - name), name, (int)(second - first - 1), first + 1));
}

static void read_names(struct reading *reading, const char *path, void (*take)(struct reading *, const char *))
{
	DIR *dir = opendir(path);
	struct dirent *entry;

	if (!dir)
		return;
	while ((entry = readdir(dir)))
		take(reading, entry->d_name);
	closedir(dir);
}

static const struct mark *find_mark(const struct reading *reading, const char *text, size_t length)
{
	struct mark *mark;

	HASH_FIND(hh, reading->marks, text, length, mark);
	return mark;
}

/* "…podUID" or "…podUID.slice" */
static const struct mark *mark_of_pod(const struct reading *reading, const char *name)
{
	const char *end = name + strlen(name) - (strstr(name, ".slice") ? strlen(".slice") : 0);
	char uid[UID_MAX];

	for (const char *at = strstr(name, "pod"); at; at = strstr(at + 1, "pod")) {
		size_t length = end > at + 3 ? (size_t)(end - at - 3) : 0;

		if (length < UID_MIN || length > UID_MAX)
			continue;
		for (size_t i = 0; i < length; i++)
			uid[i] = at[3 + i] == '_' ? '-' : at[3 + i];
		return find_mark(reading, uid, length);
	}
	return NULL;
}

/* The first run of hexadecimal digits that is as long as an ID. */
static const struct mark *mark_of_container(const struct reading *reading, const char *name)
{
	size_t run = 0;

	for (const char *at = name; *at; at++) {
		run = isxdigit((unsigned char)*at) ? run + 1 : 0;
		if (run == ID_LENGTH && !isxdigit((unsigned char)at[1]))
			return find_mark(reading, at + 1 - ID_LENGTH, ID_LENGTH);
	}
	return NULL;
}

/* What is below a pod's or container's group is its own. */
static void walk(struct reading *reading, const char *root, const char *path, int depth)
{
	char *whole = memory_format("%s%s", root, path);
	DIR *dir = opendir(whole);
	struct dirent *entry;

	free(whole);
	while (dir && (entry = readdir(dir))) {
		const struct mark *mark;
		char *below;

		/* The kernel tells the type of all entries here. */
		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		if (reading->dirs == PODS_DIRS_MAX) {
			reading->pods->cut = true;
			break;
		}
		reading->dirs++;
		below = memory_format("%s/%s", path, entry->d_name);
		mark = mark_of_pod(reading, entry->d_name) ?: mark_of_container(reading, entry->d_name);
		if (mark) {
			struct pods *pods = reading->pods;

			pods->list = memory_room(pods->list, pods->count, sizeof(*pods->list));
			pods->list[pods->count++] = (struct pod){ memory_string(mark->pod), below };
			continue;
		}
		if (depth < DEPTH_MAX)
			walk(reading, root, below, depth + 1);
		free(below);
	}
	if (dir)
		closedir(dir);
}

void pods_read(struct pods *pods, const char *cgroup_root, const char *containers, const char *logs)
{
	struct reading reading = { .pods = pods };
	struct mark *mark, *next;

	read_names(&reading, logs, take_pod);
	read_names(&reading, containers, take_container);
	if (reading.marks)
		walk(&reading, cgroup_root, "", 0);
	HASH_ITER(hh, reading.marks, mark, next) {
		HASH_DEL(reading.marks, mark);
		free(mark->pod);
		free(mark);
	}
}

void pods_free(struct pods *pods)
{
	for (size_t i = 0; i < pods->count; i++) {
		free(pods->list[i].name);
		free(pods->list[i].path);
	}
	free(pods->list);
	*pods = (struct pods){ 0 };
}
