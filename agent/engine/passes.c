/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "engine/passes.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/namespaces.h"
#include "lib/log.h"

struct run {
	const struct bpf_link *iterator;
	size_t record_size;
	pass_take *take;
	void *context;
	int failed;	/* namespaces that could not be entered */
	int err;	/* of the pass itself */
};

/* Enough for the largest record many times over; a record that did not fit is written again in full by the next
 * read. */
#define BUFFER_BYTES 65536

static void drain(struct run *run, int fd)
{
	char *buffer = malloc(BUFFER_BYTES);
	size_t used = 0, at;
	ssize_t got = 0;
	int stop = 0;

	while (buffer && !stop && (got = read(fd, buffer + used, BUFFER_BYTES - used)) != 0) {
		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (got < 0)
			break;
		if (!run->take)
			continue;
		used += got;
		for (at = 0; !stop && used - at >= run->record_size; at += run->record_size)
			stop = run->take(buffer + at, run->context);
		memmove(buffer, buffer + at, used - at);
		used -= at;
	}
	if (!buffer || got < 0)
		run->err = -errno;
	free(buffer);
}

static void run_once(void *context)
{
	struct run *run = context;
	/* The namespace is taken at this call, not when the iterator was attached. */
	int fd = bpf_iter_create(bpf_link__fd(run->iterator));

	if (fd < 0) {
		run->err = fd;
		return;
	}
	drain(run, fd);
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

int pass_read(const struct bpf_link *iterator, size_t record_size, pass_take *take, void *context)
{
	struct run run = { .iterator = iterator, .record_size = record_size, .take = take, .context = context };

	run_once(&run);
	return run.err;
}
