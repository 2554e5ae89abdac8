/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "daemon/seccomp.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "daemon/seccomp_calls.h"
#include "lib/log.h"

/* Beyond @system-service. */
static const char *const more_calls[] = {
	"bpf",		     /* the engine */
	"open_by_handle_at", /* the names of cgroups */
	"pidfd_getfd",	     /* ending holds by the program's own descriptor */
#ifdef __SANITIZE_ADDRESS__
	"ptrace", /* the search for leaks at the end */
#endif
};

/* AF_XDP: autocork-fastpath. */
static const int families[] = { AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_XDP };

static int allow(scmp_filter_ctx filter, const char *const *names, size_t count)
{
	int error = 0;

	for (size_t i = 0; i < count && !error; i++) {
		int call = seccomp_syscall_resolve_name(names[i]);

		/* Negative: other architectures have it, or none that this library knows. */
		if (call >= 0)
			error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0);
	}
	return error;
}

#define OTHER_NAMESPACES (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID)
#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static int fill(scmp_filter_ctx filter)
{
	int error = allow(filter, seccomp_calls, COUNT(seccomp_calls)) ?: allow(filter, more_calls, COUNT(more_calls));

	for (size_t i = 0; i < COUNT(families) && !error; i++)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
					 SCMP_A0(SCMP_CMP_EQ, families[i]));
	error = error ?:
			seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
					 SCMP_A0(SCMP_CMP_MASKED_EQ, OTHER_NAMESPACES, 0));
	/* RestrictNamespaces=net. Of clone3() the flags cannot be looked at: the C library falls back to clone(). */
	error = error ?:
			seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(setns), 1,
					 SCMP_A1(SCMP_CMP_EQ, CLONE_NEWNET));
	error = error ?: seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	/* A binary tree instead of some 300 comparisons, where the library can (2.5). */
	seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	return error ?: seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(EPERM));
}

int seccomp_confine(struct fault *fault)
{
	scmp_filter_ctx filter;
	int error;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return fault_set(fault, EXIT_FAILED, "no_new_privs: %s: run autocorkd on Linux 3.5 or later",
				 strerror(errno));
	if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) < 0) {
		log_warning("seccomp: this kernel has none (CONFIG_SECCOMP_FILTER): system calls are not filtered");
		return 0;
	}
	filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	if (!filter)
		return fault_set(fault, EXIT_FAILED, "seccomp: out of memory");
	error = fill(filter) ?: seccomp_load(filter);
	seccomp_release(filter);
	if (error)
		return fault_set(fault, EXIT_FAILED,
				 "seccomp: the filter cannot be set: %s: see if another one refuses it",
				 strerror(-error));
	return 0;
}
