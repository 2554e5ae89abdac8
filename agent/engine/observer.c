/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "engine/observer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bpf/observe.skel.h"

#define HOOKS_MAX 3

/* One way to serve a purpose: all programs of a row are attached, or the next row is tried. Best first; an empty row ends a table. */
struct observer_hook {
	const char *how;
	const char *programs[HOOKS_MAX + 1];
	bool fentry;
	bool cgroup;	/* attached to the cgroup whose flows are handled */
};

static const struct observer_hook writes[] = {
	{ "fentry tcp_sendmsg_locked and tcp_sendpage_locked", { "write_fentry", "sendpage_fentry" }, .fentry = true },
	{ "fentry tcp_sendmsg_locked", { "write_fentry" }, .fentry = true },
	{ "tracepoint tcp_sendmsg_locked", { "write_tracepoint" }, .fentry = false },
	{ "tracepoint sock_send_length", { "write_length" }, .fentry = false },
	{},
};

static const struct observer_hook reads[] = {
	{ "fexit tcp_recvmsg", { "read_fexit" }, .fentry = true },
	{ "tracepoint sock_recv_length", { "read_length" }, .fentry = false },
	{},
};

static const struct observer_hook options[] = {
	{ "cgroup setsockopt", { "option_set" }, .cgroup = true },
	{},
};

static const struct observer_hook packets[] = {
	{ "cgroup skb, both directions", { "packet_out", "packet_in" }, .cgroup = true },
	{},
};

/* No tracepoint fires before a program sleeps in a read, so there is no second row. */
static const struct observer_hook waits[] = {
	{ "fentry tcp_recvmsg and tcp_poll", { "recv_wait", "poll_wait" }, .fentry = true },
	{},
};

static bool is_in(const struct observer_hook *hook, const char *name)
{
	for (size_t i = 0; hook && hook->programs[i]; i++)
		if (!strcmp(hook->programs[i], name))
			return true;
	return false;
}

static void detach(struct bpf_link **links)
{
	for (size_t i = 0; i < OBSERVER_LINKS; i++) {
		bpf_link__destroy(links[i]);
		links[i] = NULL;
	}
}

static int attach(struct observer *o, const struct observer_hook *hook, struct bpf_link **links)
{
	size_t at = 0;

	while (at < OBSERVER_LINKS && links[at])
		at++;
	for (size_t i = 0; hook && hook->programs[i]; i++, at++) {
		struct bpf_program *program = bpf_object__find_program_by_name(o->object, hook->programs[i]);

		links[at] = hook->cgroup ? bpf_program__attach_cgroup(program, o->cgroup) : bpf_program__attach(program);
		if (!links[at]) {
			int err = -errno;

			detach(links);
			return err;
		}
	}
	return 0;
}

/* Loads the object with just the programs of the rows given. */
static int load(struct observer *o, struct shared_maps *shared)
{
	struct bpf_program *program;
	const void *bytes;
	size_t size;
	int err;

	bytes = observe_bpf__elf_bytes(&size);
	o->object = objects_open(bytes, size);
	if (!o->object)
		return -errno;
	bpf_object__for_each_program(program, o->object) {
		const char *name = bpf_program__name(program);

		bpf_program__set_autoload(program, is_in(o->writes, name) || is_in(o->reads, name) || is_in(o->waits, name) ||
							   is_in(o->options, name) || is_in(o->packets, name));
	}
	err = objects_load(o->object, shared);
	if (err)
		observer_stop(o);
	return err;
}

/* The first row that loads and attaches when tried alone; NULL if none does. */
static const struct observer_hook *choose(const struct observer_hook *rows, int cgroup, struct shared_maps *shared,
					  bool without_fentry, char *reason, size_t size)
{
	snprintf(reason, size, "%s", without_fentry ? "forced off" : "no hook of this kernel fits");
	for (; rows->how; rows++) {
		struct observer trial = { .writes = rows, .cgroup = cgroup };
		int err;

		if (rows->fentry && without_fentry)
			continue;
		err = load(&trial, shared);
		if (!err)
			err = attach(&trial, rows, trial.watching);
		observer_stop(&trial);
		if (!err) {
			snprintf(reason, size, "%s", rows->how);
			return rows;
		}
		snprintf(reason, size, "%s: %s", rows->how, strerror(-err));
	}
	return NULL;
}

int observer_start(struct observer *o, int cgroup, struct shared_maps *shared, bool without_fentry, struct features *features)
{
	char reason[128];
	int err;

	o->cgroup = cgroup;
	o->writes = choose(writes, o->cgroup, shared, without_fentry, reason, sizeof(reason));
	features_note(features, "write hook", o->writes, "flows learn nothing before they are managed, and there is no advice",
		      "a kernel from 6.3 on, or one that allows fentry", "%s", reason);
	o->reads = choose(reads, o->cgroup, shared, without_fentry, reason, sizeof(reason));
	features_note(features, "read hook", o->reads, "reads are not counted", "a kernel from 6.3 on, or one that allows fentry",
		      "%s", reason);
	o->waits = choose(waits, o->cgroup, shared, without_fentry, reason, sizeof(reason));
	features_note(features, "fentry", o->waits,
		      "a wrong hold of a program that waits for input lasts max_hold instead of ending at once",
		      "a kernel that lets BPF patch its text (CONFIG_FUNCTION_TRACER, no lockdown)", "%s", reason);
	o->options = choose(options, o->cgroup, shared, without_fentry, reason, sizeof(reason));
	features_note(features, "option hook", o->options, "calls of setsockopt() are not counted", "a kernel with CONFIG_CGROUP_BPF",
		      "%s", reason);
	o->packets = choose(packets, o->cgroup, shared, without_fentry, reason, sizeof(reason));
	features_note(features, "packet hook", o->packets, "small packets are not counted", "a kernel with CONFIG_CGROUP_BPF", "%s",
		      reason);
	if (!o->writes && !o->reads && !o->waits)
		return 0;
	err = load(o, shared);
	return err ? err : attach(o, o->waits, o->waiting);
}

bool observer_is_watching(const struct observer *o)
{
	return o->watching[0];
}

static int watch(struct observer *o)
{
	int err = attach(o, o->writes, o->watching);

	if (!err)
		err = attach(o, o->reads, o->watching);
	return err ? err : attach(o, o->options, o->watching);
}

int observer_watch(struct observer *o, bool on, bool small_packets)
{
	int err = 0;

	if (!o->object)
		return 0;
	if (!on || !small_packets)
		detach(o->counting);
	if (!on)
		detach(o->watching);
	else if (!observer_is_watching(o))
		err = watch(o);
	if (!err && on && small_packets && !o->counting[0])
		err = attach(o, o->packets, o->counting);
	return err;
}

void observer_stop(struct observer *o)
{
	detach(o->counting);
	detach(o->watching);
	detach(o->waiting);
	bpf_object__close(o->object);
	o->object = NULL;
}
