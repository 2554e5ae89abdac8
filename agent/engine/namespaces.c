/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "engine/namespaces.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uthash.h>

#include "lib/log.h"

struct seen {
	uint32_t inode;
	UT_hash_handle hh;
};

struct search {
	namespace_visit *visit;
	void *context;
	struct seen *seen;
	uint32_t wanted;	/* 0 = all */
	int found;
};

/* True to go on. */
static bool look(struct search *search, const char *path)
{
	struct stat stat_buffer;
	struct seen *known;
	uint32_t inode;
	int fd;

	if (stat(path, &stat_buffer))
		return true;
	inode = stat_buffer.st_ino;
	if (search->wanted && inode != search->wanted)
		return true;
	HASH_FIND(hh, search->seen, &inode, sizeof(inode), known);
	if (known)
		return true;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	/* Between stat and open the process may have gone, and its number been given to another one. */
	if (fd < 0 || fstat(fd, &stat_buffer) || stat_buffer.st_ino != inode) {
		if (fd >= 0)
			close(fd);
		return true;
	}
	if (search->wanted) {
		search->found = fd;
		return false;
	}
	known = malloc(sizeof(*known));
	if (!known)
		abort();
	known->inode = inode;
	HASH_ADD(hh, search->seen, inode, sizeof(inode), known);
	search->visit(fd, inode, search->context);
	close(fd);
	return true;
}

static bool look_in(struct search *search, const char *directory, const char *suffix, bool numbers_only)
{
	DIR *dir = opendir(directory);
	struct dirent *entry;
	char path[512];
	bool go_on = true;

	while (dir && go_on && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.' || (numbers_only && !isdigit(entry->d_name[0])))
			continue;
		snprintf(path, sizeof(path), "%s/%s%s", directory, entry->d_name, suffix);
		go_on = look(search, path);
	}
	if (dir)
		closedir(dir);
	return go_on;
}

/* Namespaces that live only because a process, which itself lives elsewhere, holds a descriptor of them. */
static bool look_at_descriptors(struct search *search, const char *directory)
{
	DIR *dir = opendir(directory);
	struct dirent *entry;
	char path[600], link[sizeof("net:[")];
	bool go_on = true;

	while (dir && go_on && (entry = readdir(dir))) {
		ssize_t length = readlinkat(dirfd(dir), entry->d_name, link, sizeof(link) - 1);

		if (length != sizeof(link) - 1 || memcmp(link, "net:[", sizeof(link) - 1))
			continue;
		snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
		go_on = look(search, path);
	}
	if (dir)
		closedir(dir);
	return go_on;
}

static bool look_at_all_descriptors(struct search *search)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	char path[300];
	bool go_on = true;

	while (dir && go_on && (entry = readdir(dir))) {
		if (!isdigit(entry->d_name[0]))
			continue;
		snprintf(path, sizeof(path), "/proc/%s/fd", entry->d_name);
		go_on = look_at_descriptors(search, path);
	}
	if (dir)
		closedir(dir);
	return go_on;
}

/* Dearest last: what is looked for is found before most of the machine's descriptors are looked at. */
static void search_all(struct search *search)
{
	struct seen *each, *next;

	if (look(search, "/proc/self/ns/net") && look_in(search, "/proc", "/ns/net", true) &&
	    look_in(search, "/run/netns", "", false))
		look_at_all_descriptors(search);
	HASH_ITER(hh, search->seen, each, next) {
		HASH_DEL(search->seen, each);
		free(each);
	}
}

void namespaces_visit(namespace_visit *visit, void *context)
{
	struct search search = { .visit = visit, .context = context };

	search_all(&search);
}

int namespace_open(uint32_t inode)
{
	struct search search = { .wanted = inode, .found = -1 };

	search_all(&search);
	if (search.found < 0)
		errno = ESRCH;
	return search.found;
}

int namespace_run(int fd, void (*run)(void *context), void *context)
{
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), err = 0;
	struct stat here, there;

	if (home < 0)
		return -errno;
	if (!fstat(home, &here) && !fstat(fd, &there) && here.st_ino == there.st_ino) {
		run(context);
	} else if (setns(fd, CLONE_NEWNET)) {
		err = -errno;
	} else {
		run(context);
		if (setns(home, CLONE_NEWNET)) {
			/* Everything after this would happen in a stranger's namespace. */
			log_error("network namespace: cannot come back to the agent's own: stopping");
			abort();
		}
	}
	close(home);
	return err;
}
