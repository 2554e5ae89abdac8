/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "release/finder.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <unistd.h>

#include "lib/clock.h"
#include "release/descriptor.h"
#include "release/release.h"

/* Looking at all processes takes a tenth of the time at most: we run in real time, and anybody can have many
 * descriptors. */
#define EVERYBODY_SHARE 10

/* One process, or all (0). Returns 0 or -errno. */
static int look(pid_t process)
{
	union bpf_iter_link_info info = { .task.tid = process };
	DECLARE_LIBBPF_OPTS(bpf_link_create_opts, options);
	int link, pass, err = 0;
	char nothing;

	if (process) {
		options.iter_info = &info;
		options.iter_info_len = sizeof(info);
	}
	link = bpf_link_create(RELEASE_FIND, 0, BPF_TRACE_ITER, &options);
	if (link < 0)
		return link;
	pass = bpf_iter_create(link);
	if (pass < 0)
		err = pass;
	/* The program writes nothing: the first read goes to the end, unless the pass is a long one. */
	else
		while (read(pass, &nothing, 1) < 0)
			if (errno != EAGAIN && errno != EINTR) {
				err = -errno;
				break;
			}
	if (pass >= 0)
		close(pass);
	close(link);
	return err;
}

static bool find_in(struct ac_release_worker *me, struct ac_owner *owner, uint32_t number, pid_t process)
{
	int copy;

	me->tgid = 0;
	me->wanted = number;
	if (look(process) || !me->tgid)
		return false;
	copy = descriptor_take_socket(me->tgid, me->fd, owner->cookie);
	if (copy < 0)
		return false;
	close(copy);
	owner->tgid = me->tgid;
	owner->fd = me->fd;
	return true;
}

enum finder_result finder_find(struct ac_releaser *state, struct ac_release_worker *me, struct ac_owner *owner,
			       uint32_t number)
{
	uint64_t start_us;
	bool found;

	if (owner->writer && find_in(me, owner, number, owner->writer))
		return FINDER_FOUND;
	start_us = monotonic_us();
	if (start_us < __atomic_load_n(&state->next_look_us, __ATOMIC_RELAXED))
		return FINDER_LATER;
	found = find_in(me, owner, number, 0);
	__atomic_store_n(&state->next_look_us, start_us + EVERYBODY_SHARE * (monotonic_us() - start_us),
			 __ATOMIC_RELAXED);
	return found ? FINDER_FOUND : FINDER_NOBODY;
}

int finder_try(void)
{
	return -look(getpid());
}
