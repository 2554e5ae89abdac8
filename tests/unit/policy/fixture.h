/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What the policy tests share: sets made of text. Include it last. */
#pragma once
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "policy/set.h"

/* Writes a file and returns its path in a static buffer. */
static inline const char *fixture_write(const char *directory, const char *name, const char *text)
{
	static char path[512];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "we");
	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
	return path;
}

static inline void fixture_directory(char path[64])
{
	strcpy(path, "/tmp/autocork-test-XXXXXX");
	assert_non_null(mkdtemp(path));
}

/* Removes a directory of files and of directories of files. */
static inline void fixture_remove(const char *path)
{
	char command[256];

	snprintf(command, sizeof(command), "rm -rf -- '%s'", path);
	assert_int_equal(system(command), 0);
}

/* Loads one file with this text; fails the test with the errors if it is not valid. */
static inline struct policy_set *fixture_set(const char *text)
{
	char directory[64], *files[1];
	struct policy_set *set;
	struct fault fault;
	int result;

	fixture_directory(directory);
	files[0] = (char *)fixture_write(directory, "test.conf", text);
	result = policy_load_files(&set, files, 1, NULL, &fault);
	fixture_remove(directory);
	if (result)
		fail_msg("%s", fault.text);
	return set;
}

static inline const struct policy_origin *fixture_policy(const struct policy_set *set, const char *name)
{
	for (size_t i = 0; i < set->policy_count; i++) {
		if (!strcmp(set->origins[i].name, name))
			return &set->origins[i];
	}
	fail_msg("no policy %s", name);
	return NULL;
}
