/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "fastpath/claim.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <net/if.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <xdp/libxdp.h>

#include "lib/log.h"

/* What libxdp calls its own program for AF_XDP sockets, and adopts; the agent's steering program is named so too. */
#define SOCKET_PROGRAM "xsk_def_prog"
#define CLAIMANTS 64	/* connections that wait: each was refused its claim and has gone */

/* Does a process of root's, or of our own user, hold the name? Anybody can bind it; only such a one is believed. */
static bool held(const struct sockaddr_un *address, socklen_t length)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct ucred peer;
	socklen_t size = sizeof(peer);
	bool found = false;

	if (fd < 0)
		return true;
	if (connect(fd, (const struct sockaddr *)address, length))
		found = errno == EAGAIN;	/* too many have asked to tell: on the safe side */
	else if (!getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size))
		found = !peer.uid || peer.uid == geteuid();
	close(fd);
	return found;
}

/* An abstract name belongs to the network namespace, as the interface does, and goes with the process that holds it. */
static int lock(const char *name, struct fault *fault)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int length = snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "autocork-fastpath/%s", name);
	socklen_t size = offsetof(struct sockaddr_un, sun_path) + 1 + length;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), err;

	if (fd >= 0 && !bind(fd, (struct sockaddr *)&address, size) && !listen(fd, CLAIMANTS))
		return 0;
	err = errno;
	if (fd >= 0)
		close(fd);
	if (err != EADDRINUSE)
		return fault_set(fault, EXIT_FAILED, "%s: cannot be claimed: %s: allow more open files", name,
				 strerror(err));
	if (held(&address, size))
		return fault_set(fault, EXIT_FAILED,
				 "%s: another autocork-fastpath has it: stop that one (autocork fastpath)", name);
	log_warning("%s: somebody who is not root holds our name for it: taken no notice of", name);
	return 0;
}

/* The first program on the interface that is none of those for AF_XDP sockets, NULL if there is no such. */
static const char *foreign_program(struct xdp_multiprog *programs)
{
	struct xdp_program *program = NULL;

	if (xdp_multiprog__is_legacy(programs)) {
		const char *name = xdp_program__name(xdp_multiprog__main_prog(programs));

		return !name ? "?" : strcmp(name, SOCKET_PROGRAM) ? name : NULL;
	}
	while ((program = xdp_multiprog__next_prog(program, programs)))
		if (!xdp_program__name(program) || strcmp(xdp_program__name(program), SOCKET_PROGRAM))
			return xdp_program__name(program) ?: "?";
	return NULL;
}

int claim_interface(const char *name, bool *had_program, struct fault *fault)
{
	struct xdp_multiprog *programs;
	const char *foreign;
	unsigned int index;
	__u32 id = 0;

	*had_program = false;
	index = if_nametoindex(name);
	if (!index)
		return fault_set(fault, EXIT_FAILED, "%s: no such interface in this network namespace: see ip link",
				 name);
	if (lock(name, fault))
		return -1;
	if (bpf_xdp_query_id(index, 0, &id) || !id)
		return 0;
	programs = xdp_multiprog__get_from_ifindex(index);
	if (libxdp_get_error(programs))
		return fault_set(fault, EXIT_FAILED,
				 "%s: XDP program %u is there and cannot be looked at: %s: needs root", name, id,
				 strerror(-libxdp_get_error(programs)));
	foreign = foreign_program(programs);
	if (foreign)
		fault_set(fault, EXIT_FAILED,
			  "%s: a foreign XDP program is attached (%s, id %u): take it away (ip link set dev %s xdp "
			  "off) or use another interface", name, foreign, id, name);
	xdp_multiprog__close(programs);
	*had_program = !foreign;
	return foreign ? -1 : 0;
}

const char *claim_argument_interface(const char *argument)
{
	static char name[IF_NAMESIZE];
	const char *at = strstr(argument, "net_af_xdp");

	at = at ? strstr(at, ",iface=") : NULL;
	if (!at)
		return NULL;
	at += strlen(",iface=");
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(at, ","), at);
	return name;
}
