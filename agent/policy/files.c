/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Which files make the policy: *.conf drop-ins of several directories. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"
#include "policy/sections.h"

const char *const policy_default_dirs[] = { "/usr/lib/autocork/policy.d", "/run/autocork/policy.d",
					    "/etc/autocork/policy.d", NULL };

struct drop_in {
	char *path;
	const char *name; /* inside path */
	size_t dir;
};

static int by_name(const void *a, const void *b)
{
	const struct drop_in *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	return order ? order : (x->dir > y->dir) - (x->dir < y->dir);
}

static bool is_drop_in(const char *name)
{
	size_t length = strlen(name);

	return name[0] != '.' && length > 5 && !strcmp(name + length - 5, ".conf");
}

/* False, with errno, where the directory cannot be read. */
static bool list_dir(const char *dir, size_t number, struct drop_in **found, size_t *count)
{
	struct dirent *entry;
	DIR *stream = opendir(dir);

	if (!stream)
		return false;
	while ((entry = readdir(stream))) {
		struct drop_in *one;

		if (!is_drop_in(entry->d_name))
			continue;
		*found = memory_room(*found, *count, sizeof(**found));
		one = &(*found)[(*count)++];
		one->path = memory_format("%s/%s", dir, entry->d_name);
		one->name = strrchr(one->path, '/') + 1;
		one->dir = number;
	}
	closedir(stream);
	return true;
}

char **policy_files_list(const char *const *dirs, bool must_exist, size_t *count, struct policy_errors *errors)
{
	struct drop_in *found = NULL;
	size_t all = 0;
	char **files;

	for (size_t i = 0; dirs[i]; i++) {
		if (!list_dir(dirs[i], i, &found, &all) && (must_exist || errno != ENOENT))
			policy_error_add(errors, dirs[i], 0, "cannot be read: %s: allowed is a readable directory",
					 strerror(errno));
	}
	if (all)
		qsort(found, all, sizeof(*found), by_name);
	files = memory_zeroed(all, sizeof(*files));
	*count = 0;
	for (size_t i = 0; i < all; i++) {
		if (i + 1 < all && !strcmp(found[i].name, found[i + 1].name))
			free(found[i].path); /* masked by its namesake of a later directory */
		else
			files[(*count)++] = found[i].path;
	}
	free(found);
	return files;
}
