/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "lib/cgroup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

_Static_assert(sizeof(ino_t) == sizeof(uint64_t), "cgroup ids are 64-bit inode numbers");

/* Undoes the octal escapes of mountinfo (\040 is a space) in place. */
static void unescape(char *text)
{
	char *out = text;

	for (const char *in = text; *in; in++) {
		unsigned int code;

		if (*in == '\\' && sscanf(in, "\\%3o", &code) == 1 && code < 256) {
			*out++ = (char)code;
			in += 3;
		} else {
			*out++ = *in;
		}
	}
	*out = '\0';
}

char *cgroup_root_from(const char *mountinfo)
{
	char *line = NULL, *found = NULL;
	size_t size = 0;
	FILE *file = fopen(mountinfo, "re");

	if (!file)
		return NULL;
	/* Of several mounts the one that shows everything: a container has its own, and may be given the host's. */
	while (!(found && cgroup_is_root(found)) && getline(&line, &size, file) > 0) {
		/* 31 23 0:28 / /sys/fs/cgroup rw,relatime shared:9 - cgroup2 cgroup2 rw: their number varies */
		const char *type = strstr(line, " - ");
		char *where = line;

		if (!type || strncmp(type, " - cgroup2 ", 11))
			continue;
		for (int field = 1; where && field < 5; field++) {
			where = strchr(where, ' ');
			if (where)
				where++;
		}
		if (!where || where >= type)
			continue;
		where[strcspn(where, " ")] = '\0';
		unescape(where);
		if (found && !cgroup_is_root(where))
			continue;
		free(found);
		found = strdup(where);
	}
	free(line);
	fclose(file);
	return found;
}

const char *cgroup_root(struct fault *fault)
{
	static char *root;

	if (!root)
		root = cgroup_root_from("/proc/self/mountinfo");
	if (!root)
		fault_set(fault, EXIT_UNSUPPORTED,
			  "cgroup v2: no mount of it in /proc/self/mountinfo: "
			  "mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified, or boot with "
			  "systemd.unified_cgroup_hierarchy=1");
	return root;
}

bool cgroup_is_root(const char *directory)
{
	/* The first node of a hierarchy (kernfs_create_root()). */
	return cgroup_id(directory) == 1;
}

uint64_t cgroup_id(const char *directory)
{
	struct stat status;

	if (stat(directory, &status))
		return 0;
	if (!S_ISDIR(status.st_mode)) {
		errno = ENOTDIR;
		return 0;
	}
	return status.st_ino;
}
