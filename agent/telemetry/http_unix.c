/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "telemetry/http_unix.h"

#include <errno.h>
#include <grp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/paths.h"

static int give_up(const char *path, int fd, const char *what, const char *next, struct fault *fault)
{
	fault_set(fault, EXIT_FAILED, "metrics socket %s: %s: %s", path, what, next);
	if (fd >= 0)
		close(fd);
	return -1;
}

/* A socket to which nobody listens any more. */
static bool is_stale(const char *path, const struct sockaddr_un *address)
{
	struct stat there;
	int fd, refused;

	if (lstat(path, &there) || !S_ISSOCK(there.st_mode))
		return false;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	refused = fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof(*address)) && errno == ECONNREFUSED;
	if (fd >= 0)
		close(fd);
	return refused;
}

int http_unix_listen(const char *path, int backlog, struct fault *fault)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const struct group *group = getgrnam(AUTOCORK_GROUP);
	mode_t mask;
	int fd, bound;

	if (strlen(path) >= sizeof(address.sun_path))
		return give_up(path, -1, "the path is too long", "name a shorter one", fault);
	strcpy(address.sun_path, path);
	if (is_stale(path, &address))
		unlink(path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return give_up(path, fd, strerror(errno), "see the limits on descriptors", fault);
	mask = umask(0117);
	bound = bind(fd, (const struct sockaddr *)&address, sizeof(address));
	umask(mask);
	if (bound)
		return give_up(path, fd, strerror(errno), "name another path, in a directory that the agent may write",
			       fault);
	/* After its start the agent may not give files away any more. Without the group the page is root's alone. */
	if (group && chown(path, -1, group->gr_gid)) {
		unlink(path);
		return give_up(path, fd, "cannot be given to the group " AUTOCORK_GROUP, "restart the agent", fault);
	}
	if (listen(fd, backlog)) {
		unlink(path);
		return give_up(path, fd, strerror(errno), "name another path", fault);
	}
	return fd;
}
