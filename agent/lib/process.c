/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "lib/process.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

char process_state(pid_t child)
{
	char path[32], text[256];
	const char *end;
	ssize_t length;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)child);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	length = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	if (length <= 0)
		return 0;
	text[length] = 0;
	/* "PID (NAME) STATE …", and the name may have parentheses. */
	end = strrchr(text, ')');
	return end && end[1] == ' ' ? end[2] : 0;
}
