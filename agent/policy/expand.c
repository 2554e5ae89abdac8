/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "policy/expand.h"

#include <fnmatch.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/cgroup.h"
#include "lib/memory.h"
#include "policy/pods.h"
#include "policy/rank.h"
#include "policy/strings.h"

struct expand_places expand_places = { NULL, "/var/log/containers", "/var/log/pods" };

struct expansion {
	const char *root; /* NULL: no cgroup v2 */
	bool pods_known;
	struct pods pods;
};

struct expansion *expansion_new(void)
{
	struct expansion *expansion = memory_zeroed(1, sizeof(*expansion));
	struct fault fault;

	expansion->root = expand_places.cgroups ?: cgroup_root(&fault);
	return expansion;
}

void expansion_free(struct expansion *expansion)
{
	pods_free(&expansion->pods);
	free(expansion);
}

static bool is_pattern(const char *path)
{
	return strpbrk(path, POLICY_WILDCARDS);
}

/* Directories of the cgroup file system that match. Backslashes are systemd's (`\x2d`), and plain. */
static void find_groups(const struct expansion *expansion, const char *pattern, struct policy_strings *paths)
{
	char *whole = memory_format("%s%s", expansion->root, pattern);
	struct stat status;
	glob_t found;

	if (!glob(whole, GLOB_NOESCAPE | GLOB_NOSORT | GLOB_ONLYDIR, NULL, &found)) {
		for (size_t i = 0; i < found.gl_pathc; i++)
			if (!stat(found.gl_pathv[i], &status) && S_ISDIR(status.st_mode))
				strings_append(paths, found.gl_pathv[i] + strlen(expansion->root));
		globfree(&found);
	}
	free(whole);
}

static const struct pods *pods_of(struct expansion *expansion)
{
	if (!expansion->pods_known && expansion->root)
		pods_read(&expansion->pods, expansion->root, expand_places.containers, expand_places.pods);
	expansion->pods_known = true;
	return &expansion->pods;
}

static void find_pods(struct expansion *expansion, const char *pattern, struct policy_strings *paths)
{
	const struct pods *pods = pods_of(expansion);

	for (size_t i = 0; i < pods->count; i++)
		if (!fnmatch(pattern, pods->list[i].name, FNM_PATHNAME | FNM_NOESCAPE))
			strings_append(paths, pods->list[i].path);
}

bool expansion_of(struct expansion *expansion, const struct policy_config *config, struct policy_strings *paths)
{
	bool plain = !config->pods.count;

	*paths = (struct policy_strings){ 0 };
	for (size_t i = 0; i < config->cgroups.count; i++) {
		const char *path = config->cgroups.list[i];

		if (!is_pattern(path)) {
			strings_append(paths, path);
			continue;
		}
		plain = false;
		if (expansion->root)
			find_groups(expansion, path, paths);
	}
	for (size_t i = 0; i < config->pods.count; i++)
		find_pods(expansion, config->pods.list[i], paths);
	if (!plain)
		strings_unite(paths);
	return config->cgroups.count || config->pods.count;
}

bool expansion_cut(const struct expansion *expansion)
{
	return expansion->pods.cut;
}

static bool is_expanded(const struct policy_config *config)
{
	for (size_t i = 0; i < config->cgroups.count; i++)
		if (is_pattern(config->cgroups.list[i]))
			return true;
	return config->pods.count;
}

bool policy_expansion_differs(const struct policy_set *set)
{
	struct expansion *expansion = expansion_new();
	bool differs = false;

	for (size_t i = 0; !differs && i < set->policy_count; i++) {
		struct policy_strings paths;

		if (!set->origins[i].ruled || !is_expanded(&set->origins[i].config))
			continue;
		expansion_of(expansion, &set->origins[i].config, &paths);
		differs = !strings_equal(&paths, &set->origins[i].paths);
		strings_free(&paths);
	}
	expansion_free(expansion);
	return differs;
}

/* Every directory that may hold what matches the first component with a wildcard, or one after it. */
static void dirs_of_pattern(const struct expansion *expansion, const char *pattern, struct policy_strings *dirs)
{
	char *copy = memory_string(pattern);
	struct policy_strings found = { 0 };

	for (char *end = copy + strcspn(copy, POLICY_WILDCARDS); (end = strchr(end, '/')); end++) {
		*end = '\0';
		find_groups(expansion, copy, &found);
		*end = '/';
	}
	copy[strcspn(copy, POLICY_WILDCARDS)] = '\0';
	*strrchr(copy, '/') = '\0';
	strings_append(&found, copy);
	for (size_t i = 0; i < found.count; i++) {
		char *dir = memory_format("%s%s", expansion->root, found.list[i]);

		strings_append(dirs, dir);
		free(dir);
	}
	strings_free(&found);
	free(copy);
}

static void dirs_of_pods(struct expansion *expansion, struct policy_strings *dirs)
{
	const struct pods *pods = pods_of(expansion);

	strings_append(dirs, expand_places.containers);
	strings_append(dirs, expand_places.pods);
	for (size_t i = 0; i < pods->count; i++) {
		const char *path = pods->list[i].path;
		char *dir = memory_format("%s%.*s", expansion->root, (int)(strrchr(path, '/') - path), path);

		strings_append(dirs, dir);
		free(dir);
	}
}

void policy_expansion_dirs(const struct policy_set *set, struct policy_strings *dirs)
{
	struct expansion *expansion = expansion_new();
	bool pods = false;

	*dirs = (struct policy_strings){ 0 };
	for (size_t i = 0; expansion->root && i < set->policy_count; i++) {
		const struct policy_config *config = &set->origins[i].config;

		pods |= config->pods.count;
		for (size_t c = 0; c < config->cgroups.count; c++)
			if (is_pattern(config->cgroups.list[c]))
				dirs_of_pattern(expansion, config->cgroups.list[c], dirs);
	}
	if (pods && expansion->root)
		dirs_of_pods(expansion, dirs);
	strings_unite(dirs);
	expansion_free(expansion);
}
