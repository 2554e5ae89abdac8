/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "release/descriptor.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <unistd.h>

int descriptor_take(pid_t process, int fd)
{
	int pidfd = pidfd_open(process, 0), copy;

	if (pidfd < 0)
		return -errno;
	copy = pidfd_getfd(pidfd, fd, 0);
	if (copy < 0)
		copy = -errno;
	close(pidfd);
	return copy;
}

/* Processes that were asked last: opening one takes as long as taking its descriptor. */
#define OPEN_PROCESSES 64

static struct open_process {
	pid_t process; /* 0 = none */
	int pidfd;
} open_processes[OPEN_PROCESSES];

static void forget(struct open_process *open)
{
	if (open->process)
		close(open->pidfd);
	open->process = 0;
}

static int take_of(struct open_process *open, pid_t process, int fd)
{
	int copy;

	if (open->process != process) {
		forget(open);
		open->pidfd = pidfd_open(process, 0);
		if (open->pidfd < 0)
			return -errno;
		open->process = process;
	}
	copy = pidfd_getfd(open->pidfd, fd, 0);
	return copy < 0 ? -errno : copy;
}

static int take_of_open(pid_t process, int fd)
{
	struct open_process *open = &open_processes[process % OPEN_PROCESSES];
	bool known = open->process == process;
	int copy = take_of(open, process, fd);

	if (copy != -ESRCH)
		return copy;
	forget(open);
	/* The one that was open has ended; its number may be another's by now. */
	return known ? take_of(open, process, fd) : copy;
}

int descriptor_take_socket(pid_t process, int fd, uint64_t cookie)
{
	int copy = take_of_open(process, fd);
	socklen_t size = sizeof(uint64_t);
	uint64_t found = 0;

	if (copy < 0)
		return copy;
	if (!getsockopt(copy, SOL_SOCKET, SO_COOKIE, &found, &size) && found == cookie)
		return copy;
	close(copy);
	return -EBADF;
}

void descriptor_push(int socket)
{
	int corked = 0, off = 0;
	socklen_t size = sizeof(corked);

	/* Between the two calls lies a microsecond. */
	if (!getsockopt(socket, IPPROTO_TCP, TCP_CORK, &corked, &size) && !corked)
		setsockopt(socket, IPPROTO_TCP, TCP_CORK, &off, sizeof(off));
}
