/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The listening socket of the agent, the lock that makes it the only one there, and who may connect. */
#pragma once
#include <stdbool.h>
#include <sys/types.h>
#include <sys/un.h>

#include "lib/fault.h"

struct control_socket {
	int fd, lock;
	gid_t gid;
	const char *group; /* its name, for messages */
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
};

struct control_peer {
	pid_t pid;
	uid_t uid;
	bool may_read, may_change;
};

/*
 * Locks PATH.lock, makes sure that nobody listens at PATH, and listens there (0660). A lock held by a living agent, a
 * socket that somebody answers, or a file that is no socket is refused; what a killed agent left is taken over.
 */
int control_socket_open(struct control_socket *socket, const char *path, struct fault *fault);
void control_socket_close(struct control_socket *socket);
/* The next client, -1 if there is none. */
int control_socket_accept(const struct control_socket *socket, struct control_peer *peer);
