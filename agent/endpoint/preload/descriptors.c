/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "endpoint/preload/descriptors.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "endpoint/preload/real.h"

#define PAGE 1024
#define PAGES 1024 /* the kernel's default for the highest number, 2^20 */
#define HIDDEN_MAX 256

struct entry {
	struct file *file;
	bool cloexec; /* as the program sees it; the placeholder always has it */
};

static struct entry *pages[PAGES]; /* sparse: a page is made when a number of it is ours, and stays */
static int hidden[HIDDEN_MAX];
static unsigned hidden_count;
unsigned files_count[3];

static struct entry *entry_of(int fd)
{
	struct entry *page;

	if (fd < 0 || fd >= PAGE * PAGES)
		return NULL;
	page = __atomic_load_n(&pages[fd / PAGE], __ATOMIC_ACQUIRE);
	return page ? &page[fd % PAGE] : NULL;
}

struct file *files_find(int fd)
{
	struct entry *entry = entry_of(fd);

	return entry ? __atomic_load_n(&entry->file, __ATOMIC_ACQUIRE) : NULL;
}

int files_share(int fd, struct file *file, bool cloexec)
{
	struct entry *page, *entry;

	if (fd < 0 || fd >= PAGE * PAGES) {
		errno = EMFILE;
		return -1;
	}
	if (!pages[fd / PAGE]) {
		page = calloc(PAGE, sizeof(*page));
		if (!page)
			return -1;
		__atomic_store_n(&pages[fd / PAGE], page, __ATOMIC_RELEASE);
	}
	entry = entry_of(fd);
	entry->cloexec = cloexec;
	file->refs++;
	file->descriptors++;
	__atomic_store_n(&entry->file, file, __ATOMIC_RELEASE);
	return 0;
}

struct file *files_new(int fd, enum file_kind kind, bool cloexec)
{
	struct file *file = calloc(1, sizeof(*file));

	if (!file)
		return NULL;
	file->kind = kind;
	file->fd = fd;
	if (files_share(fd, file, cloexec)) {
		free(file);
		return NULL;
	}
	files_count[kind]++;
	return file;
}

static int another(const struct file *file)
{
	int fd = files_next(0);

	while (fd >= 0 && files_find(fd) != file)
		fd = files_next(fd + 1);
	return fd;
}

struct file *files_remove(int fd)
{
	struct entry *entry = entry_of(fd);
	struct file *file = entry ? entry->file : NULL;

	if (!file)
		return NULL;
	__atomic_store_n(&entry->file, NULL, __ATOMIC_RELEASE);
	if (--file->descriptors) {
		file->refs--;
		if (file->fd == fd)
			file->fd = another(file);
	} else {
		files_count[file->kind]--;
	}
	return file->descriptors ? NULL : file;
}

void files_release(struct file *file)
{
	if (!--file->refs)
		free(file);
}

bool files_cloexec(int fd)
{
	struct entry *entry = entry_of(fd);

	return entry && entry->cloexec;
}

void files_set_cloexec(int fd, bool cloexec)
{
	struct entry *entry = entry_of(fd);

	if (entry)
		entry->cloexec = cloexec;
}

int files_next(int fd)
{
	for (; fd < PAGE * PAGES; fd++) {
		if (!pages[fd / PAGE])
			fd |= PAGE - 1;
		else if (files_find(fd))
			return fd;
	}
	return -1;
}

/* High enough not to be where the program looks for its next ones, low enough for its limit. */
int files_hide(int fd)
{
	struct rlimit limit = { 1024, 1024 };
	int moved;

	if (fd < 0 || hidden_count == HIDDEN_MAX)
		return fd;
	getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur > PAGE * PAGES)
		limit.rlim_cur = PAGE * PAGES;
	moved = REAL(fcntl)(fd, F_DUPFD_CLOEXEC, (int)(limit.rlim_cur > 64 ? limit.rlim_cur - limit.rlim_cur / 8 : 0));
	if (moved >= 0)
		REAL(close)(fd);
	else
		moved = fd;
	hidden[hidden_count++] = moved;
	return moved;
}

bool files_is_hidden(int fd)
{
	for (unsigned i = 0; i < hidden_count; i++)
		if (hidden[i] == fd)
			return true;
	return false;
}

void files_unhide(int fd)
{
	for (unsigned i = 0; i < hidden_count; i++) {
		if (hidden[i] != fd)
			continue;
		hidden[i] = hidden[--hidden_count];
		break;
	}
	REAL(close)(fd);
}

int files_next_hidden(int fd)
{
	int next = -1;

	for (unsigned i = 0; i < hidden_count; i++)
		if (hidden[i] >= fd && (next < 0 || hidden[i] < next))
			next = hidden[i];
	return next;
}
