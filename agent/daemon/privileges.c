/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "daemon/privileges.h"

#include <cap-ng.h>
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "lib/log.h"

enum { TO_START = 1, STAYS = 2 };

/*
 * Every capability the agent uses. Without those marked TO_START it does not start; those marked STAYS are needed while
 * it runs. A feature that needs another one adds its row. packaging/autocorkd.service bounds the agent by the same
 * list.
 */
static const struct {
	unsigned int capability;
	int when;
	const char *why;
} table[] = {
	{ CAP_BPF, TO_START | STAYS, "every bpf() call, the heartbeat's included, where unprivileged BPF is disabled" },
	{ CAP_PERFMON, TO_START | STAYS, "loading the tracing programs, and again for what attaches on demand" },
	{ CAP_NET_ADMIN, TO_START | STAYS, "struct_ops, sockops and XDP" },
	{ CAP_SYS_ADMIN, TO_START | STAYS,
	  "entering the network namespaces of flows to manage them, and to give them back" },
	{ CAP_SYS_PTRACE, STAYS,
	  "finding those namespaces, and the release process: taking descriptors of the programs' sockets" },
	{ CAP_SYS_NICE, STAYS, "the release process, scheduled in real time" },
	{ CAP_DAC_READ_SEARCH, STAYS, "the names of cgroups from their ids (open_by_handle_at(2))" },
	{ CAP_NET_RAW, STAYS, "AF_XDP sockets, for `steer = dpdk` and `steer = endpoint`" },
	{ CAP_IPC_LOCK, STAYS, "its packet buffers, and the memory of the release process" },
	{ CAP_CHOWN, 0, "giving the control socket to its group" },
};

int privileges_check(struct fault *fault)
{
	char missing[256] = "";
	size_t used = 0;

	capng_get_caps_process();
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (!(table[i].when & TO_START) || capng_have_capability(CAPNG_EFFECTIVE, table[i].capability))
			continue;
		used += snprintf(missing + used, sizeof(missing) - used, "%sCAP_%s", used ? ", " : "",
				 capng_capability_to_name(table[i].capability));
	}
	if (!used)
		return 0;
	for (char *c = missing; *c; c++)
		*c = toupper(*c);
	return fault_set(fault, EXIT_FAILED,
			 "privileges: %s missing: run it as root, or give autocorkd's service these capabilities",
			 missing);
}

int privileges_drop(struct fault *fault)
{
	unsigned int keep[sizeof(table) / sizeof(table[0])];
	size_t count = 0;
	bool bound;

	capng_get_caps_process();
	bound = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		/* What was not given cannot be kept. */
		if (!(table[i].when & STAYS) || !capng_have_capability(CAPNG_PERMITTED, table[i].capability))
			continue;
		keep[count++] = table[i].capability;
		log_debug("cap_%s stays: %s", capng_capability_to_name(table[i].capability), table[i].why);
	}
	capng_clear(CAPNG_SELECT_BOTH);
	for (size_t i = 0; i < count; i++)
		capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET, keep[i]);
	/* The bounding set needs CAP_SETPCAP; the service has none, systemd has bounded it. */
	if (capng_apply(bound ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS))
		return fault_set(fault, EXIT_FAILED, "privileges: cannot be dropped: %s: run autocorkd as root",
				 strerror(errno));
	return 0;
}
