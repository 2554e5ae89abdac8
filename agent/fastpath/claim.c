/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "fastpath/claim.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xdp/libxdp.h>

#include "lib/array.h"
#include "lib/lock.h"
#include "steer/interface.h"

/* What libxdp calls its own program for AF_XDP sockets, and adopts; the agent's steering program is named so too. */
#define SOCKET_PROGRAM "xsk_def_prog"
#define CLAIMS "/run/autocork/claims" /* NAMESPACE-INDEX, a lock file for each interface */

struct claim {
	char path[128];
	int lock;
};

static struct claim *claims;
static size_t claim_count, claim_room;

/* A place where nobody but us, who are root, can make files: what lies there is believed. */
static int own_directory(struct fault *fault)
{
	struct stat status;

	mkdir("/run/autocork", 0755);
	if (mkdir(CLAIMS, 0700) && errno != EEXIST)
		return fault_set(fault, EXIT_FAILED, CLAIMS ": %s: autocork-fastpath needs root", strerror(errno));
	if (lstat(CLAIMS, &status) || !S_ISDIR(status.st_mode) || status.st_uid != geteuid() || status.st_mode & 022)
		return fault_set(fault, EXIT_FAILED, CLAIMS ": is not a directory of this user's alone: remove it");
	return 0;
}

static int keep(const char *path, int lock, const char *name, struct fault *fault)
{
	struct claim *claim;

	if (!array_room(&claims, claim_count, &claim_room, sizeof(*claims))) {
		lock_release(path, lock);
		return fault_set(fault, EXIT_FAILED, "%s: cannot be claimed: not enough memory: free some", name);
	}
	claim = &claims[claim_count++];
	snprintf(claim->path, sizeof(claim->path), "%s", path);
	claim->lock = lock;
	return 0;
}

/* Goes with the process that holds it, however that ends. */
static int lock(const char *name, unsigned int index, struct fault *fault)
{
	struct stat space;
	char path[128];
	pid_t holder = 0;
	int fd;

	if (own_directory(fault))
		return -1;
	if (stat("/proc/thread-self/ns/net", &space))
		return fault_set(fault, EXIT_FAILED, "%s: asking for the network namespace failed: %s: mount /proc",
				 name, strerror(errno));
	snprintf(path, sizeof(path), CLAIMS "/%llu-%u", (unsigned long long)space.st_ino, index);
	fd = lock_take(path, &holder);
	if (fd >= 0)
		return keep(path, fd, name, fault);
	if (fd == -EWOULDBLOCK)
		return fault_set(fault, EXIT_FAILED,
				 "%s: another autocork-fastpath has it (process %d): stop that one (autocork fastpath)",
				 name, (int)holder);
	if (fd == -EMFILE)
		return fault_set(fault, EXIT_FAILED,
				 "%s: cannot be claimed: too many open files: allow more (ulimit -n, LimitNOFILE=)",
				 name);
	return fault_set(fault, EXIT_FAILED, "%s: cannot be claimed: %s: %s must be writable", path, strerror(-fd),
			 CLAIMS);
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
	struct interface_xdp xdp;
	char advice[INTERFACE_ADVICE_LEN] = "what attached it";
	unsigned int index;
	__u32 id = 0;

	*had_program = false;
	index = if_nametoindex(name);
	if (!index)
		return fault_set(fault, EXIT_FAILED, "%s: no such interface in this network namespace: see ip link",
				 name);
	if (lock(name, index, fault))
		return -1;
	if (bpf_xdp_query_id(index, 0, &id) || !id)
		return 0;
	programs = xdp_multiprog__get_from_ifindex(index);
	if (libxdp_get_error(programs))
		return fault_set(fault, EXIT_FAILED,
				 "%s: XDP program %u is there and cannot be looked at: %s: needs root", name, id,
				 strerror(-libxdp_get_error(programs)));
	foreign = foreign_program(programs);
	if (foreign) {
		if (!interface_xdp(index, &xdp, fault))
			interface_xdp_advice(name, &xdp, advice);
		fault_set(
			fault, EXIT_FAILED,
			"%s: a foreign XDP program is attached (%s, id %u): take it away (%s) or use another interface",
			name, foreign, id, advice);
	}
	xdp_multiprog__close(programs);
	*had_program = !foreign;
	return foreign ? -1 : 0;
}

void claims_end(void)
{
	while (claim_count) {
		claim_count--;
		lock_release(claims[claim_count].path, claims[claim_count].lock);
	}
	free(claims);
	claims = NULL;
	claim_room = 0;
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
