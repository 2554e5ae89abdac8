/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The counters file of autocork-fastpath: see fastpath_stats.h. */
#include "fastpath-client/fastpath_stats.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

const struct fastpath_counter fastpath_counters[] = {
#define KIND_counter false
#define KIND_gauge true
#define X(field, kind, help) { #field, help, offsetof(struct fastpath_queue, field), KIND_##kind },
	FASTPATH_COUNTERS(X)
#undef X
};
const size_t fastpath_counter_count = sizeof(fastpath_counters) / sizeof(fastpath_counters[0]);

static size_t file_size(uint32_t queues)
{
	return sizeof(struct fastpath_file) + queues * sizeof(struct fastpath_queue);
}

bool fastpath_name_valid(const char *name)
{
	size_t length = strlen(name);

	if (!length || length >= FASTPATH_NAME_LEN || name[0] == '.')
		return false;
	for (; *name; name++)
		if (!isalnum((unsigned char)*name) && !strchr("-_.", *name))
			return false;
	return true;
}

bool fastpath_stats_path(const char *dir, const char *name, char *path, size_t size)
{
	int length;

	if (!fastpath_name_valid(name))
		return false;
	length = snprintf(path, size, "%s/%s.stats", dir ? dir : FASTPATH_RUN_DIR, name);
	return length > 0 && (size_t)length < size;
}

bool fastpath_stats_beside(const char *control, char *dir, size_t size)
{
	const char *slash = control ? strrchr(control, '/') : NULL;
	int length;

	if (!control)
		length = snprintf(dir, size, "%s", FASTPATH_RUN_DIR);
	else
		length =
			snprintf(dir, size, "%.*s/fastpath", slash ? (int)(slash - control) : 1, slash ? control : ".");
	return length > 0 && (size_t)length < size;
}

/* Makes the directories on the way to a file. */
static void make_parents(const char *path)
{
	char *copy = strdup(path);

	for (char *slash = copy ? strchr(copy + 1, '/') : NULL; slash; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		mkdir(copy, 0755);
		*slash = '/';
	}
	free(copy);
}

struct fastpath_file *fastpath_stats_create(const char *path, uint32_t queues, int *fd, struct fault *fault)
{
	struct fastpath_file *file;
	struct stat opened, named;

	make_parents(path);
	for (;;) {
		/* Root's alone: whoever can open a file can lock it, and would keep the next writer from starting. */
		*fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (*fd < 0) {
			fault_set(fault, EXIT_FAILED, "%s: %s: choose another directory with --run-dir", path,
				  strerror(errno));
			return NULL;
		}
		if (flock(*fd, LOCK_EX | LOCK_NB)) {
			fault_set(fault, EXIT_FAILED,
				  "%s: another autocork-fastpath of this name runs: stop it or choose another "
				  "--name",
				  path);
			close(*fd);
			return NULL;
		}
		/* The one before may have removed the file between our open() and the lock: then it is a file without a
		 * name. */
		if (!fstat(*fd, &opened) && !stat(path, &named) && opened.st_ino == named.st_ino)
			break;
		close(*fd);
	}
	/* What a killed process left is emptied first: its magic number must not vouch for a file half made. */
	if (ftruncate(*fd, 0) || ftruncate(*fd, file_size(queues))) {
		fault_set(fault, EXIT_FAILED, "%s: %s: make room there", path, strerror(errno));
		close(*fd);
		return NULL;
	}
	file = mmap(NULL, file_size(queues), PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	if (file == MAP_FAILED) {
		fault_set(fault, EXIT_FAILED, "%s: mmap: %s: choose another directory with --run-dir", path,
			  strerror(errno));
		close(*fd);
		return NULL;
	}
	file->version = FASTPATH_STATS_VERSION;
	file->queues = queues;
	file->pid = getpid();
	file->started = time(NULL);
	return file;
}

void fastpath_stats_publish(struct fastpath_file *file)
{
	__atomic_store_n(&file->magic, FASTPATH_STATS_MAGIC, __ATOMIC_RELEASE);
}

void fastpath_stats_destroy(struct fastpath_file *file, const char *path, int fd)
{
	unlink(path);
	munmap(file, file_size(file->queues));
	close(fd);
}

struct fastpath_file *fastpath_stats_read(const char *path, bool *alive, struct fault *fault)
{
	struct fastpath_file *file = NULL;
	struct stat stat;
	ssize_t got;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd < 0) {
		fault_set(fault, EXIT_FAILED, "%s: %s: is autocork-fastpath running?", path, strerror(errno));
		return NULL;
	}
	/* A shared lock is refused exactly while the writer lives. */
	*alive = flock(fd, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK;
	if (fstat(fd, &stat) || !S_ISREG(stat.st_mode) || (size_t)stat.st_size < sizeof(*file) ||
	    (size_t)stat.st_size > file_size(FASTPATH_QUEUES_MAX))
		goto unknown;
	file = malloc(stat.st_size);
	got = file ? read(fd, file, stat.st_size) : -1;
	if (got != stat.st_size || file->magic != FASTPATH_STATS_MAGIC || file->version != FASTPATH_STATS_VERSION ||
	    file->queues > FASTPATH_QUEUES_MAX || file_size(file->queues) != (size_t)stat.st_size)
		goto unknown;
	close(fd);
	/* The file is another process's: let no string run on. */
	file->name[sizeof(file->name) - 1] = 0;
	file->job[sizeof(file->job) - 1] = 0;
	for (uint32_t i = 0; i < file->queues; i++)
		file->queue[i].interface[sizeof(file->queue[i].interface) - 1] = 0;
	return file;
unknown:
	free(file);
	close(fd);
	fault_set(fault, EXIT_FAILED, "%s: not a counters file of this version: restart autocork-fastpath", path);
	return NULL;
}

int fastpath_stats_each(const char *dir, fastpath_stats_visit *visit, void *context)
{
	const char *where = dir ? dir : FASTPATH_RUN_DIR, *dot;
	DIR *stream = opendir(where);
	struct dirent *entry;
	int count = 0;

	if (!stream)
		return 0;
	while ((entry = readdir(stream))) {
		char path[4096];
		struct fault fault;
		struct fastpath_file *file;
		bool alive;

		dot = strrchr(entry->d_name, '.');
		if (!dot || strcmp(dot, ".stats") || entry->d_name[0] == '.' ||
		    snprintf(path, sizeof(path), "%s/%s", where, entry->d_name) >= (int)sizeof(path))
			continue;
		file = fastpath_stats_read(path, &alive, &fault);
		if (!file)
			continue;
		visit(file, alive, context);
		free(file);
		count++;
	}
	closedir(stream);
	return count;
}
