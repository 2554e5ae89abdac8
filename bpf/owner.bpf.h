/* SPDX-License-Identifier: GPL-2.0 */
/* Whose socket a flow is, and the way to the release process (include/autocork/release.h). */
#pragma once
#include "maps.bpf.h"
#include "match.bpf.h"
#include "tcp.bpf.h"

/* False if the ring is full. */
static __always_inline bool owner_hand(const struct ac_owner *o, __u32 number, __u32 what, __u32 due_us)
{
	struct ac_due *due = bpf_ringbuf_reserve(&dues, sizeof(*due), 0);

	if (!due)
		return false;
	due->cookie = o->cookie;
	due->number = number;
	due->what = what;
	due->due_us = due_us;
	bpf_ringbuf_submit(due, 0);
	return true;
}

/* Ends what the flow holds, for `reason`, at that time, or as soon as a release process comes to it. */
static __always_inline bool owner_release_at(struct ac_flow *f, __u32 reason, __u32 due_us)
{
	struct ac_owner *o = owner_of(f);

	if (!o)
		return false;
	/* First: the gate must not take the call for the program's. */
	f->asked = reason;
	return owner_hand(o, f->number, AC_DUE_RELEASE, due_us);
}

static __always_inline bool owner_release(struct ac_flow *f, __u32 reason)
{
	return owner_release_at(f, reason, now_us());
}

/*
 * Is it sure that a descriptor exists? A system call on a socket takes one, but for io_uring's with registered files.
 * Descriptors of a thread that has its own table cannot be taken (pidfd_getfd(2) before 6.9), and a socket of the
 * kernel's has none.
 */
static __always_inline bool owner_is_plain(const struct task_struct *task)
{
	__u64 own = (__u64)task->files, leaders = (__u64)task->group_leader->files;

	if (task->flags & (PF_IO_WORKER | PF_KTHREAD) || own != leaders)
		return false;
	return !bpf_core_field_exists(task->io_uring) || !task->io_uring;
}

static __always_inline void owner_refuse(struct sock *sk, struct ac_flow *f, __u32 refusal)
{
	struct ac_service_stats *stats = stats_of(f);

	if (f->refusal == refusal)
		return;
	f->refusal = refusal;
	if (stats)
		ac_count_at(stats->refused, AC_REFUSAL_MAX, refusal);
	/* It comes off its wrapper. */
	kick(AC_KICK_RECONCILE, netns_of(sk));
}

static __always_inline bool owner_is_avoided(__u64 cgroup, const struct ac_control *c)
{
	const struct ac_avoided *avoid = c->avoids ? bpf_map_lookup_elem(&avoided, &cgroup) : NULL;

	return avoid && avoid->now;
}

/* A hold is to begin. False if nobody could end it. With the socket locked. */
static __always_inline bool owner_ready(struct sock *sk, struct ac_flow *f, const struct ac_control *c)
{
	struct task_struct *task = (void *)bpf_get_current_task_btf();
	__u64 cookie = sk->__sk_common.skc_cookie.counter;
	struct ac_owner *o = owner_of(f);

	if (!o || !c->releases)
		return false;
	if (o->cookie != cookie) {
		o->reach = AC_REACH_UNKNOWN;
		o->tgid = 0;
		o->cgroup = cgroup_id(sk);
		o->cookie = cookie;
	}
	if (owner_is_avoided(o->cgroup, c)) {
		owner_refuse(sk, f, AC_REFUSAL_LOCK_HELD);
		return false;
	}
	if (o->reach == AC_REACH_NONE) {
		owner_refuse(sk, f, AC_REFUSAL_NO_DESCRIPTOR);
		return false;
	}
	o->writer = task->tgid;
	if (o->reach == AC_REACH_FOUND)
		return true;
	if (o->reach != AC_REACH_UNKNOWN)
		return false;
	if (owner_is_plain(task))
		return true;
	o->reach = AC_REACH_ASKED;
	if (!owner_hand(o, f->number, AC_DUE_FIND, now_us()))
		o->reach = AC_REACH_UNKNOWN;
	return false;
}
