/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "lib/streams.h"

#include <fcntl.h>
#include <unistd.h>

void streams_keep(void)
{
	/* In order, as open() takes the lowest number; for the children too, so without O_CLOEXEC. */
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0)
			return;
}
