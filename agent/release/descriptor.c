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

int descriptor_take_socket(pid_t process, int fd, uint64_t cookie)
{
	int copy = descriptor_take(process, fd);
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
