/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "engine/observer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bpf/observe.skel.h"

#define HOOKS_MAX 5

/* One way to hook a purpose, best first. All programs of a row are attached, or the next row is tried. */
struct hook {
	const char *purpose;
	const char *programs[HOOKS_MAX + 1];
	const char *how;
	bool fentry;
};

static const struct hook writes[] = {
	{ "write hook", { "write_fentry", "sendpage_fentry" }, "fentry tcp_sendmsg_locked and tcp_sendpage_locked", true },
	{ "write hook", { "write_fentry" }, "fentry tcp_sendmsg_locked", true },
	{ "write hook", { "write_tracepoint" }, "tracepoint tcp_sendmsg_locked", false },
	{ "write hook", { "write_length" }, "tracepoint sock_send_length", false },
	{},
};

static const struct hook reads[] = {
	{ "read hook", { "read_fentry", "read_fexit", "poll_fentry" }, "fentry and fexit tcp_recvmsg, fentry tcp_poll", true },
	{ "read hook", { "read_length" }, "tracepoint sock_recv_length", false },
	{},
};

static bool is_in(const struct hook *hook, const char *name)
{
	for (size_t i = 0; hook->programs[i]; i++)
		if (!strcmp(hook->programs[i], name))
			return true;
	return false;
}

static void detach(struct observer *o)
{
	while (o->link_count)
		bpf_link__destroy(o->links[--o->link_count]);
	bpf_object__close(o->object);
	o->object = NULL;
}

/* Loads the object with just the programs of two rows. */
static int attach(struct observer *o, const struct hook *write, const struct hook *read, struct shared_maps *shared)
{
	struct bpf_program *program;
	const void *bytes;
	size_t size;
	int err;

	bytes = observe_bpf__elf_bytes(&size);
	o->object = objects_open(bytes, size);
	if (!o->object)
		return -errno;
	bpf_object__for_each_program(program, o->object)
		bpf_program__set_autoload(program, is_in(write, bpf_program__name(program)) ||
						   is_in(read, bpf_program__name(program)));
	err = objects_load(o->object, shared);
	bpf_object__for_each_program(program, o->object) {
		if (err || !bpf_program__autoload(program))
			continue;
		o->links[o->link_count] = bpf_program__attach(program);
		if (o->links[o->link_count])
			o->link_count++;
		else
			err = -errno;
	}
	if (err)
		detach(o);
	return err;
}

/* The first row that works, tried alone; the empty row at the end if none does. */
static const struct hook *choose(const struct hook *rows, struct shared_maps *shared, bool without_fentry, char *reason, size_t size)
{
	static const struct hook nothing;
	struct observer trial = {};

	snprintf(reason, size, "no hook of this kernel fits");
	for (; rows->purpose; rows++) {
		int err;

		if (rows->fentry && without_fentry)
			continue;
		err = attach(&trial, rows, &nothing, shared);
		if (!err) {
			detach(&trial);
			snprintf(reason, size, "%s", rows->how);
			return rows;
		}
		snprintf(reason, size, "%s: %s", rows->how, strerror(-err));
	}
	return rows;
}

int observer_start(struct observer *o, struct shared_maps *shared, bool without_fentry, struct features *features)
{
	char write_reason[128], read_reason[128];
	const struct hook *write = choose(writes, shared, without_fentry, write_reason, sizeof(write_reason));
	const struct hook *read = choose(reads, shared, without_fentry, read_reason, sizeof(read_reason));
	int err;

	features_note(features, "write hook", write->purpose,
		      "flows learn nothing before they are managed, and there is no advice", "a kernel from 6.3 on, or one that allows fentry",
		      "%s", write_reason);
	features_note(features, "read hook", read->purpose, "reads are not counted", "a kernel from 6.3 on, or one that allows fentry",
		      "%s", read_reason);
	features_note(features, "fentry", write->fentry || read->fentry,
		      "a wrong hold of a program that waits for input lasts max_hold instead of ending at once",
		      "a kernel that lets BPF patch its text (CONFIG_FUNCTION_TRACER, no lockdown)",
		      "%s", write->fentry || read->fentry ? "used" : without_fentry ? "forced off" : "refused; tracepoints are used");
	if (!write->purpose && !read->purpose)
		return 0;
	err = attach(o, write, read, shared);
	return err;
}

void observer_stop(struct observer *o)
{
	detach(o);
}
