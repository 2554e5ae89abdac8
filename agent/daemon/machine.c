/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "daemon/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/lock.h"
#include "lib/log.h"
#include "lib/paths.h"

int machine_take(struct fault *fault)
{
	char directory[] = AUTOCORK_LOCK;
	pid_t holder = 0;
	int fd;

	mkdir(dirname(directory), 0755);
	fd = lock_take(AUTOCORK_LOCK, &holder);
	if (fd >= 0)
		return fd;
	if (fd == -EWOULDBLOCK)
		return fault_set(fault, EXIT_FAILED,
				 AUTOCORK_LOCK ": another autocorkd (pid %d) manages this machine, and a machine has one: "
					       "ask it (autocork status), or stop it first",
				 holder);
	/* A machine without /run, a minimal image for instance: there the control socket's lock must do. */
	log_warning(AUTOCORK_LOCK ": %s: a second agent with another --control would not be noticed", strerror(-fd));
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

void machine_release(int fd)
{
	struct stat ours, there;

	if (!fstat(fd, &ours) && !stat(AUTOCORK_LOCK, &there) && ours.st_ino == there.st_ino &&
	    ours.st_dev == there.st_dev)
		lock_release(AUTOCORK_LOCK, fd);
	else
		close(fd);
}
