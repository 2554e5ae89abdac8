/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "endpoint/mtcp/dpdk.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>

#include "endpoint/mtcp/stack.h"

#define LIBRARY "libautocork-ring-dpdk.so"

static int (*start)(const char *interface, unsigned queues, const char *arguments, char *text, size_t size);
static struct ring *(*open_queue)(unsigned queue);

/* It is never unloaded: DPDK's threads run in it. */
static int load(char *text, size_t size)
{
	char path[PATH_MAX];
	void *handle = stack_find(LIBRARY, path, sizeof(path)) ? NULL : dlopen(path, RTLD_NOW | RTLD_LOCAL);

	if (!handle) {
		snprintf(text, size,
			 "io = dpdk: " LIBRARY " cannot be loaded: install autocork-mtcp-dpdk, or use af_xdp");
		return -1;
	}
	*(void **)&start = dlsym(handle, "autocork_ring_dpdk_start");
	*(void **)&open_queue = dlsym(handle, "autocork_ring_dpdk_open");
	if (start && open_queue)
		return 0;
	start = NULL;
	snprintf(text, size, LIBRARY ": of another version than libautocork-mtcp.so: install both from one tree");
	return -1;
}

int dpdk_start(const struct config *config, char *text, size_t size)
{
	if (!start && load(text, size))
		return -1;
	return start(config->interface, config->conf.num_cores, config->dpdk_args, text, size);
}

struct ring *dpdk_open(unsigned queue)
{
	return open_queue(queue);
}
