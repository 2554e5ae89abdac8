/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "engine/observer.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/observe.skel.h"

/* Where the skeleton has a program. No one is at 0. */
#define PROGRAM(name) offsetof(struct observe_bpf, progs.name)

/* One way to serve a purpose: all programs of a row are attached, or the next row is tried. Best first; an empty row
 * ends a table. */
struct way {
	const char *how;
	size_t programs[HOOK_PROGRAMS]; /* PROGRAM(), up to the first 0 */
	bool fentry;
};

static const struct way writes[] = {
	{ "fentry tcp_sendmsg_locked and do_tcp_sendpages",
	  { PROGRAM(write_fentry), PROGRAM(sendpage_fentry) },
	  .fentry = true },
	{ "fentry tcp_sendmsg_locked", { PROGRAM(write_fentry) }, .fentry = true },
	{ "tracepoint tcp_sendmsg_locked", { PROGRAM(write_tracepoint) }, .fentry = false },
	{ "tracepoint sock_send_length", { PROGRAM(write_length) }, .fentry = false },
	{},
};

static const struct way reads[] = {
	{ "fexit tcp_recvmsg", { PROGRAM(read_fexit) }, .fentry = true },
	{ "tracepoint sock_recv_length", { PROGRAM(read_length) }, .fentry = false },
	{},
};

/* No tracepoint fires before a program sleeps in a read, so there is no second row. */
static const struct way waits[] = {
	{ "fentry tcp_recvmsg and tcp_poll", { PROGRAM(recv_wait), PROGRAM(poll_wait) }, .fentry = true },
	{},
};

static const struct way options[] = {
	{ "cgroup setsockopt", { PROGRAM(option_set) }, .fentry = false },
	{},
};

static const struct way packets[] = {
	{ "cgroup skb, both directions", { PROGRAM(packet_out), PROGRAM(packet_in) }, .fentry = false },
	{},
};

static const struct way view[] = {
	{ "cgroup getsockopt and setsockopt", { PROGRAM(option_seen), PROGRAM(option_comes) }, .fentry = false },
	{},
};

static const struct {
	const char *feature;
	const struct way *ways;
	const char *without, *mend;
} purposes[HOOK_PURPOSES] = {
	[HOOK_WRITES] = { "write hook", writes, "flows learn nothing before they are managed, and there is no advice",
			  "a kernel from 6.3 on, or one that allows fentry" },
	[HOOK_READS] = { "read hook", reads, "reads are not counted",
			 "a kernel from 6.3 on, or one that allows fentry" },
	[HOOK_WAITS] = { "fentry", waits,
			 "a wrong hold of a program that waits for input lasts max_hold instead of ending at once",
			 "a kernel that lets BPF patch its text (CONFIG_FUNCTION_TRACER, no lockdown)" },
	[HOOK_OPTIONS] = { "option hook", options, "calls of setsockopt() are not counted",
			   "a kernel with CONFIG_CGROUP_BPF" },
	[HOOK_VIEW] = { "own view", view,
			"a program that asks its socket for TCP_CONGESTION or TCP_INFO sees the wrapper's name and window",
			"a kernel with CONFIG_CGROUP_BPF" },
	[HOOK_PACKETS] = { "packet hook", packets, "small packets are not counted", "a kernel with CONFIG_CGROUP_BPF" },
};

static void detach(struct hook *hook)
{
	for (size_t i = 0; i < HOOK_PROGRAMS; i++) {
		bpf_link__destroy(hook->links[i]);
		hook->links[i] = NULL;
	}
}

static int attach(struct hook *hook, int cgroup)
{
	for (size_t i = 0; i < HOOK_PROGRAMS && hook->programs[i]; i++) {
		hook->links[i] = objects_attach(hook->programs[i], cgroup);
		if (!hook->links[i]) {
			int err = -errno;

			detach(hook);
			return err;
		}
	}
	return 0;
}

static void unload(struct hook *hook)
{
	detach(hook);
	OBJECTS_CLOSE(hook->opened);
	*hook = (struct hook){};
}

/* Loads the object with just the programs of this way. */
static int load(struct hook *hook, const struct way *way, struct shared_maps *shared)
{
	struct bpf_program *program;

	hook->opened = OBJECTS_OPEN(observe);
	if (!hook->opened)
		return -errno;
	bpf_object__for_each_program(program, hook->opened->obj)
		bpf_program__set_autoload(program, false);
	for (size_t i = 0; i < HOOK_PROGRAMS && way->programs[i]; i++) {
		hook->programs[i] = *(struct bpf_program **)((char *)hook->opened + way->programs[i]);
		bpf_program__set_autoload(hook->programs[i], true);
	}
	return objects_load(hook->opened->obj, shared);
}

/* Leaves the first way loaded that loads and attaches. `reason`: which one, or why none does. */
static void choose(struct hook *hook, const struct way *way, int cgroup, struct shared_maps *shared,
		   bool without_fentry, char *reason, size_t size)
{
	snprintf(reason, size, "%s", without_fentry ? "forced off" : "no hook of this kernel fits");
	for (; way->how; way++) {
		int err;

		if (way->fentry && without_fentry)
			continue;
		err = load(hook, way, shared);
		if (!err)
			err = attach(hook, cgroup);
		detach(hook);
		if (!err) {
			snprintf(reason, size, "%s", way->how);
			return;
		}
		unload(hook);
		snprintf(reason, size, "%s: %s", way->how, strerror(-err));
	}
}

int observer_start(struct observer *o, int cgroup, struct shared_maps *shared, bool without_fentry,
		   struct features *features)
{
	char reason[128];

	o->cgroup = cgroup;
	for (int p = 0; p < HOOK_PURPOSES; p++) {
		choose(&o->hooks[p], purposes[p].ways, cgroup, shared, without_fentry, reason, sizeof(reason));
		features_note(features, purposes[p].feature, o->hooks[p].opened, purposes[p].without, purposes[p].mend,
			      "%s", reason);
	}
	return observer_watch(o, false, false);
}

/* Attached or not, as it is wanted; a hook without an object stays as it is. */
static int want(struct hook *hook, bool on, int cgroup)
{
	if (!on)
		detach(hook);
	return on && !hook->links[0] ? attach(hook, cgroup) : 0;
}

int observer_watch(struct observer *o, bool on, bool small_packets)
{
	const bool wanted[HOOK_PURPOSES] = {
		[HOOK_WRITES] = on,
		[HOOK_READS] = on,
		[HOOK_WAITS] = true,
		[HOOK_OPTIONS] = on,
		[HOOK_PACKETS] = on && small_packets,
		[HOOK_VIEW] = true,
	};
	int first = 0;

	for (int p = 0; p < HOOK_PURPOSES; p++) {
		int err = want(&o->hooks[p], wanted[p], o->cgroup);

		first = first ? first : err;
	}
	return first;
}

void observer_stop(struct observer *o)
{
	for (int p = 0; p < HOOK_PURPOSES; p++)
		unload(&o->hooks[p]);
}
