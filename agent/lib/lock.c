/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "lib/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

pid_t lock_holder(int fd)
{
	struct stat file;
	char line[256];
	unsigned long long inode;
	long holder = 0;
	int process;
	FILE *locks = fstat(fd, &file) ? NULL : fopen("/proc/locks", "re");

	/* "1: FLOCK  ADVISORY  WRITE 1234 08:02:5678 0 EOF" */
	while (locks && !holder && fgets(line, sizeof(line), locks))
		if (sscanf(line, "%*d: FLOCK %*s %*s %d %*x:%*x:%llu", &process, &inode) == 2 && inode == file.st_ino)
			holder = process;
	if (locks)
		fclose(locks);
	return holder;
}

static pid_t read_holder(int fd)
{
	char text[16] = "";
	ssize_t length = pread(fd, text, sizeof(text) - 1, 0);

	return length > 0 ? strtol(text, NULL, 10) : 0;
}

int lock_take(const char *path, pid_t *holder)
{
	for (;;) {
		struct stat ours, there;
		int error, fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

		if (fd < 0)
			return -errno;
		if (flock(fd, LOCK_EX | LOCK_NB)) {
			error = errno;
			*holder = read_holder(fd);
			close(fd);
			return -error;
		}
		/* Whoever had it before may have removed the file between our open() and flock(): then this lock means
		 * nothing. */
		if (fstat(fd, &ours) || stat(path, &there) || ours.st_ino != there.st_ino ||
		    ours.st_dev != there.st_dev) {
			close(fd);
			continue;
		}
		/* Who may open it may lock it: an earlier version's, whose mode was another. */
		if (!fchmod(fd, 0600) && !ftruncate(fd, 0) && dprintf(fd, "%d\n", getpid()) > 0)
			return fd;
		error = errno;
		lock_release(path, fd);
		return -error;
	}
}

void lock_release(const char *path, int fd)
{
	if (fd < 0)
		return;
	unlink(path);
	close(fd);
}
