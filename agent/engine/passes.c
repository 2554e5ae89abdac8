/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "engine/passes.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "engine/namespaces.h"
#include "engine/walker.h"
#include "lib/log.h"

struct run {
	const struct bpf_link *iterator;
	uint32_t netns; /* 0 = all */
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
	int err;

	if (walker_is_stuck(inode))
		return;
	walker_at(inode);
	err = namespace_run(fd, run_once, run);
	if (err) {
		log_debug("network namespace %u: %s", inode, strerror(-err));
		run->failed++;
	}
}

static int walk_everywhere(void *context)
{
	struct run *run = context;

	namespaces_visit(visit, run);
	if (run->failed)
		log_debug("network namespaces that could not be entered: %d", run->failed);
	return run->err;
}

static int walk_in(void *context)
{
	struct run *run = context;
	int fd = namespace_open(run->netns), err;

	if (fd < 0)
		return -errno;
	walker_at(run->netns);
	err = namespace_run(fd, run_once, run);
	return err ? err : run->err;
}

int pass_everywhere(const struct bpf_link *iterator)
{
	struct run run = { .iterator = iterator };
	int err;

	/* Again without the namespace in which it got stuck. */
	do
		err = walker_do(walk_everywhere, &run, bpf_link__fd(iterator));
	while (err == -EDEADLK);
	if (err)
		log_warning("pass over sockets: %s", strerror(-err));
	return err;
}

int pass_in(const struct bpf_link *iterator, uint32_t netns)
{
	struct run run = { .iterator = iterator, .netns = netns };

	return walker_is_stuck(netns) ? -EDEADLK : walker_do(walk_in, &run, bpf_link__fd(iterator));
}

int pass_here(const struct bpf_link *iterator)
{
	struct run run = { .iterator = iterator };

	run_once(&run);
	return run.err;
}
