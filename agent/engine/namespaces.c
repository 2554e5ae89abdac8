/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "engine/namespaces.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uthash.h>

#include "lib/log.h"
#include "release/descriptor.h"

struct seen {
	uint32_t inode;
	UT_hash_handle hh;
};

struct search {
	namespace_visit *visit;
	void *context;
	struct seen *seen;
	uint32_t wanted; /* 0 = all */
	int found;
};

/* Takes the descriptor over. True to go on. */
static bool consider(struct search *search, int fd)
{
	struct stat status;
	struct seen *known;
	uint32_t inode;

	if (fd < 0 || ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNET || fstat(fd, &status)) {
		if (fd >= 0)
			close(fd);
		return true;
	}
	inode = status.st_ino;
	HASH_FIND(hh, search->seen, &inode, sizeof(inode), known);
	if (known || (search->wanted && inode != search->wanted)) {
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

/* False for a namespace that need not be opened. */
static bool is_new(const struct search *search, uint32_t inode)
{
	struct seen *known;

	HASH_FIND(hh, search->seen, &inode, sizeof(inode), known);
	return !known && (!search->wanted || inode == search->wanted);
}

/* A file of the kernel's, or of root's in /run/netns. */
static bool look(struct search *search, const char *path)
{
	struct stat status;

	if (stat(path, &status) || !is_new(search, status.st_ino))
		return true;
	return consider(search, open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
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

/* The network namespace that an entry of a /proc/PID/fd leads to; 0 if it is something else. Nothing is opened. */
static uint32_t namespace_at(int directory, const char *entry)
{
	char link[32];
	ssize_t length = readlinkat(directory, entry, link, sizeof(link) - 1);
	uint32_t inode;

	if (length <= 0)
		return 0;
	link[length] = 0;
	return sscanf(link, "net:[%" SCNu32 "]", &inode) == 1 ? inode : 0;
}

/* A copy of a descriptor, if it is of a namespace still. */
static int take(pid_t process, int number)
{
	int fd = descriptor_take(process, number);
	char own[32];

	snprintf(own, sizeof(own), "/proc/self/fd/%d", fd);
	if (fd < 0 || namespace_at(AT_FDCWD, own))
		return fd;
	close(fd);
	return -1;
}

/*
 * Namespaces that live only because a process, which itself lives elsewhere, holds a descriptor of them. That is taken,
 * not opened by its path: by then it may be a FIFO, or a terminal.
 */
static bool look_at_descriptors(struct search *search, pid_t process)
{
	struct dirent *entry;
	bool go_on = true;
	char path[32];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)process);
	dir = opendir(path);
	while (dir && go_on && (entry = readdir(dir))) {
		uint32_t inode = namespace_at(dirfd(dir), entry->d_name);

		if (inode && is_new(search, inode))
			go_on = consider(search, take(process, atoi(entry->d_name)));
	}
	if (dir)
		closedir(dir);
	return go_on;
}

static bool look_at_all_descriptors(struct search *search)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	bool go_on = true;

	while (dir && go_on && (entry = readdir(dir)))
		if (isdigit(entry->d_name[0]))
			go_on = look_at_descriptors(search, atoi(entry->d_name));
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
