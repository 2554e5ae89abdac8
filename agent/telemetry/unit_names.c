/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "telemetry/unit_names.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uthash.h>

#include "lib/cgroup.h"
#include "lib/text.h"

#define NAMES_MAX 4096	   /* then all are forgotten and asked for again: containers come and go */
#define FILEID_KERNFS 0xfe /* linux/exportfs.h, since 5.9 (commit 33c5ac9175195c36) */

struct known {
	uint64_t cgroup;
	char name[UNIT_NAME_LEN];
	char container[CONTAINER_ID_LEN];
	UT_hash_handle hh;
};

struct unit_names {
	struct known *known;
	const char *root;
	int mount;
};

struct unit_names *unit_names_new(void)
{
	struct unit_names *names = calloc(1, sizeof(*names));
	struct fault fault;

	if (!names)
		return NULL;
	names->root = cgroup_root(&fault);
	names->mount = names->root ? open(names->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	return names;
}

static void forget(struct unit_names *names)
{
	struct known *known = names->known, *next;

	/* The table goes first: clang's analyzer cannot follow HASH_DEL() from one element to the next. */
	HASH_CLEAR(hh, names->known);
	for (; known; known = next) {
		next = known->hh.next;
		free(known);
	}
}

void unit_names_free(struct unit_names *names)
{
	if (!names)
		return;
	forget(names);
	if (names->mount >= 0)
		close(names->mount);
	free(names);
}

static bool ends_with(const char *text, size_t length, const char *end)
{
	size_t n = strlen(end);

	return length > n && !memcmp(text + length - n, end, n);
}

void unit_name_from_path(const char *path, char *name, size_t size)
{
	const char *best = "";
	size_t best_length = 0;
	bool unit = false;

	/* A unit's own sub-cgroups belong to it; a slice says less than what is in it. */
	while (*path) {
		size_t length;

		path += strspn(path, "/");
		length = strcspn(path, "/");
		if (!length)
			break;
		if (ends_with(path, length, ".service") || ends_with(path, length, ".scope")) {
			unit = true;
			best = path;
			best_length = length;
		} else if (!unit) {
			best = path;
			best_length = length;
		}
		path += length;
	}
	text_clean(name, size, best, best_length);
}

/* The last run of exactly 64 digits in a name: NULL where there is none. */
static const char *find_id(const char *name, size_t length)
{
	const size_t digits = CONTAINER_ID_LEN - 1;
	const char *found = NULL;

	for (size_t at = 0; at < length;) {
		size_t run = strspn(name + at, "0123456789abcdef");
		bool alone = (!at || !isalnum((unsigned char)name[at - 1])) && !isalnum((unsigned char)name[at + run]);

		if (run == digits && alone)
			found = name + at;
		at += run ? run : 1;
	}
	return found;
}

static bool has(const char *name, size_t length, const char *word)
{
	return memmem(name, length, word, strlen(word));
}

void container_from_path(const char *path, char id[CONTAINER_ID_LEN])
{
	*id = '\0';
	/* The innermost, where there is a container in a container. */
	while (*path) {
		size_t length;
		const char *found;

		path += strspn(path, "/");
		length = strcspn(path, "/");
		found = find_id(path, length);
		/* A slice, and a pod of Podman's, holds containers and has an id of its own. */
		if (found && !ends_with(path, length, ".slice") && !has(path, length, "libpod_pod_")) {
			memcpy(id, found, CONTAINER_ID_LEN - 1);
			id[CONTAINER_ID_LEN - 1] = '\0';
			/* The monitor of a container is outside of it. */
			if (has(path, length, "conmon"))
				*id = '\0';
		}
		path += length;
	}
}

/* Opens the cgroup by its id: needs CAP_DAC_READ_SEARCH. */
static void find_names(const struct unit_names *names, struct known *known)
{
	struct {
		struct file_handle handle;
		uint64_t id;
	} by_id = { .handle = { .handle_bytes = sizeof(by_id.id), .handle_type = FILEID_KERNFS } };
	char link[64], path[PATH_MAX];
	ssize_t length;
	int fd;

	_Static_assert(offsetof(typeof(by_id), id) == sizeof(struct file_handle), "the id is the handle's bytes");
	strcpy(known->name, "-");
	by_id.id = known->cgroup;
	fd = names->mount < 0 ? -1 : open_by_handle_at(names->mount, &by_id.handle, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	length = readlink(link, path, sizeof(path) - 1);
	close(fd);
	if (length < 0)
		return;
	path[length] = '\0';
	if (strncmp(path, names->root, strlen(names->root)))
		return;
	unit_name_from_path(path + strlen(names->root), known->name, sizeof(known->name));
	container_from_path(path + strlen(names->root), known->container);
}

/* NULL without memory. */
static const struct known *look_up(struct unit_names *names, uint64_t cgroup)
{
	struct known *known;

	HASH_FIND(hh, names->known, &cgroup, sizeof(cgroup), known);
	if (known)
		return known;
	if (HASH_COUNT(names->known) >= NAMES_MAX)
		forget(names);
	known = calloc(1, sizeof(*known));
	if (!known)
		return NULL;
	known->cgroup = cgroup;
	find_names(names, known);
	HASH_ADD(hh, names->known, cgroup, sizeof(known->cgroup), known);
	return known;
}

const char *unit_name(struct unit_names *names, uint64_t cgroup)
{
	const struct known *known = look_up(names, cgroup);

	return known ? known->name : "-";
}

const char *unit_container(struct unit_names *names, uint64_t cgroup)
{
	const struct known *known = look_up(names, cgroup);

	return known ? known->container : "";
}
