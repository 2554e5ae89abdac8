/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "fastpath/diagnose.h"

#include <cap-ng.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/resource.h>

/* CAP_BPF is not among them: CAP_SYS_ADMIN stands in for it. */
static const struct {
	unsigned int capability;
	const char *what;
} needs[] = {
	{ CAP_NET_RAW, "CAP_NET_RAW (to open AF_XDP sockets)" },
	{ CAP_NET_ADMIN, "CAP_NET_ADMIN (to attach XDP programs)" },
	{ CAP_SYS_ADMIN, "CAP_SYS_ADMIN (to find the XDP program and its map by their numbers)" },
};

void diagnose_af_xdp(char *text, size_t size)
{
	struct rlimit locked;
	bool lacks = false;

	capng_get_caps_process();
	for (size_t i = 0; i < sizeof(needs) / sizeof(needs[0]); i++)
		lacks |= !capng_have_capability(CAPNG_EFFECTIVE, needs[i].capability);
	if (lacks) {
		int at = snprintf(text, size, "this process lacks");

		for (size_t i = 0; i < sizeof(needs) / sizeof(needs[0]); i++)
			if (!capng_have_capability(CAPNG_EFFECTIVE, needs[i].capability) && at < (int)size)
				at += snprintf(text + at, size - at, " %s", needs[i].what);
		if (at < (int)size)
			snprintf(text + at, size - at, ": run it as root");
		return;
	}
	if (!capng_have_capability(CAPNG_EFFECTIVE, CAP_IPC_LOCK) && !getrlimit(RLIMIT_MEMLOCK, &locked) &&
	    locked.rlim_cur != RLIM_INFINITY) {
		snprintf(text, size,
			 "it may lock %llu KiB of memory, too few for its packet buffers: ulimit -l unlimited "
			 "(LimitMEMLOCK=infinity of a service), or give it CAP_IPC_LOCK",
			 (unsigned long long)locked.rlim_cur / 1024);
		return;
	}
	snprintf(text, size,
		 "another user of the queue, a foreign XDP program, or a veth with fewer receive queues than its peer "
		 "has transmit queues: see autocork steer status, ip link, ethtool -l");
}
