/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "daemon/control_socket.h"

#include <errno.h>
#include <grp.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/lock.h"
#include "lib/log.h"
#include "lib/paths.h"

#define BACKLOG 64

static void lock_path(const struct control_socket *socket, char *path, size_t size)
{
	snprintf(path, size, "%s.lock", socket->path);
}

/* The directory is made if only its last part is missing (/run/autocork on a machine without systemd). */
static int make_directory(const char *path, struct fault *fault)
{
	char copy[PATH_MAX];
	const char *directory;

	snprintf(copy, sizeof(copy), "%s", path);
	directory = dirname(copy);
	if (mkdir(directory, 0755) && errno != EEXIST)
		return fault_set(fault, EXIT_FAILED,
				 "%s: directory cannot be made: %s: run as root or name another --control PATH",
				 directory, strerror(errno));
	return 0;
}

static int take_lock(struct control_socket *socket, struct fault *fault)
{
	char path[PATH_MAX];
	pid_t holder = 0;

	lock_path(socket, path, sizeof(path));
	socket->lock = lock_take(path, &holder);
	if (socket->lock == -EWOULDBLOCK)
		return fault_set(
			fault, EXIT_FAILED,
			"%s: another autocorkd (pid %d) runs with this control socket, and a machine has one agent: "
			"ask it (autocork status), or stop it first",
			socket->path, holder);
	if (socket->lock < 0)
		return fault_set(fault, EXIT_FAILED,
				 "%s: cannot be locked: %s: run as root or name another --control PATH", path,
				 strerror(-socket->lock));
	return 0;
}

static void release_lock(const struct control_socket *socket)
{
	char path[PATH_MAX];

	lock_path(socket, path, sizeof(path));
	lock_release(path, socket->lock);
}

/* We have the lock; a socket that is still there is a killed agent's, or another program's. */
static int clear_path(const struct control_socket *control, const struct sockaddr_un *address, struct fault *fault)
{
	struct stat there;
	struct ucred peer = { 0 };
	socklen_t size = sizeof(peer);
	int fd;

	if (lstat(control->path, &there))
		return 0;
	if (!S_ISSOCK(there.st_mode))
		return fault_set(fault, EXIT_FAILED,
				 "%s: is there and is no socket: remove it or name another --control PATH",
				 control->path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* EAGAIN: somebody listens whose queue is full. */
	if (fd >= 0 && (!connect(fd, (const struct sockaddr *)address, sizeof(*address)) || errno == EAGAIN)) {
		getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size);
		close(fd);
		return fault_set(fault, EXIT_FAILED,
				 "%s: another program (pid %d) listens there: stop it or name another --control PATH",
				 control->path, peer.pid);
	}
	if (fd >= 0)
		close(fd);
	log_info("%s: taken over from an agent that was killed", control->path);
	if (unlink(control->path))
		return fault_set(fault, EXIT_FAILED, "%s: stale socket cannot be removed: %s: remove it", control->path,
				 strerror(errno));
	return 0;
}

static int listen_at(struct control_socket *control, const struct sockaddr_un *address, struct fault *fault)
{
	const struct group *group = getgrnam(AUTOCORK_GROUP);
	mode_t mask;
	int bound;

	control->gid = group ? group->gr_gid : 0;
	control->group = group ? AUTOCORK_GROUP : "root";
	control->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (control->fd < 0)
		return fault_set(fault, EXIT_FAILED, "%s: no socket: %s", control->path, strerror(errno));
	mask = umask(0117);
	bound = bind(control->fd, (const struct sockaddr *)address, sizeof(*address));
	umask(mask);
	if (bound)
		return fault_set(fault, EXIT_FAILED, "%s: cannot listen there: %s: name another --control PATH",
				 control->path, strerror(errno));
	/* Without the right to change it (tests run unprivileged) the socket stays with our own group. */
	if (chown(control->path, -1, control->gid))
		control->gid = getegid();
	if (listen(control->fd, BACKLOG))
		return fault_set(fault, EXIT_FAILED, "%s: cannot listen there: %s", control->path, strerror(errno));
	return 0;
}

int control_socket_open(struct control_socket *control, const char *path, struct fault *fault)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	*control = (struct control_socket){ .fd = -1, .lock = -1 };
	if (!*path || strlen(path) >= sizeof(address.sun_path))
		return fault_set(fault, EXIT_USAGE, "--control %s: a socket's path has 1 to %zu bytes: name another",
				 path, sizeof(address.sun_path) - 1);
	strcpy(control->path, path);
	strcpy(address.sun_path, path);
	if (make_directory(path, fault))
		return -1;
	if (take_lock(control, fault) || clear_path(control, &address, fault)) {
		/* The socket there is not ours. */
		release_lock(control);
		return -1;
	}
	if (listen_at(control, &address, fault)) {
		control_socket_close(control);
		return -1;
	}
	return 0;
}

void control_socket_close(struct control_socket *control)
{
	if (control->fd >= 0) {
		unlink(control->path);
		close(control->fd);
	}
	release_lock(control);
}

static bool in_group(int fd, gid_t gid, gid_t wanted)
{
	gid_t groups[NGROUPS_MAX];
	socklen_t size = sizeof(groups);

	if (gid == wanted)
		return true;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size))
		return false;
	for (size_t i = 0; i < size / sizeof(groups[0]); i++)
		if (groups[i] == wanted)
			return true;
	return false;
}

int control_socket_accept(const struct control_socket *control, struct control_peer *peer)
{
	struct ucred ucred;
	socklen_t size = sizeof(ucred);
	int fd = accept4(control->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return -1;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &ucred, &size)) {
		close(fd);
		return -1;
	}
	peer->pid = ucred.pid;
	peer->uid = ucred.uid;
	peer->may_change = ucred.uid == 0 || ucred.uid == geteuid();
	peer->may_read = peer->may_change || in_group(fd, ucred.gid, control->gid);
	return fd;
}
