/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "engine/passes.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "engine/namespaces.h"
#include "lib/log.h"

struct run {
	const struct bpf_link *iterator;
	int failed;	/* namespaces that could not be entered */
	int err;	/* of the pass itself */
};

static void run_once(void *context)
{
	struct run *run = context;
	/* The namespace is taken at this call, not when the iterator was attached. */
	int fd = bpf_iter_create(bpf_link__fd(run->iterator));
	ssize_t got;
	char nothing;

	if (fd < 0) {
		run->err = fd;
		return;
	}
	do
		got = read(fd, &nothing, sizeof(nothing));
	while (got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR)));
	if (got < 0)
		run->err = -errno;
	close(fd);
}

static void visit(int fd, uint32_t inode, void *context)
{
	struct run *run = context;
	int err = namespace_run(fd, run_once, run);

	if (err) {
		log_debug("network namespace %u: %s", inode, strerror(-err));
		run->failed++;
	}
}

int pass_everywhere(const struct bpf_link *iterator)
{
	struct run run = { .iterator = iterator };

	namespaces_visit(visit, &run);
	if (run.err)
		log_warning("pass over sockets: %s", strerror(-run.err));
	return run.failed;
}

int pass_in(const struct bpf_link *iterator, uint32_t netns)
{
	struct run run = { .iterator = iterator };
	int fd = namespace_open(netns), err;

	if (fd < 0)
		return -errno;
	err = namespace_run(fd, run_once, &run);
	close(fd);
	return err ? err : run.err;
}

int pass_here(const struct bpf_link *iterator)
{
	struct run run = { .iterator = iterator };

	run_once(&run);
	return run.err;
}
