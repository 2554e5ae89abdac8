/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Whose flow it is. A program is a process, by the name of its first thread: threads are often named after what they
 * do. Who connects is known at once. Who accepts is not: a connection is established in a softirq, and no hook that
 * every kernel allows tells of accept(). So the flow starts with the name of who accepted there before, or who listens,
 * and the first write or read that is seen says whether that is right.
 */
#pragma once
#include "listener.bpf.h"
#include "maps.bpf.h"

/* Of the process that runs. Not in a softirq: there that is anyone. */
static __always_inline void program_name(char comm[AC_COMM_LEN])
{
	struct task_struct *task = (void *)bpf_get_current_task_btf();

	__builtin_memset(comm, 0, AC_COMM_LEN);
	bpf_probe_read_kernel_str(comm, AC_COMM_LEN, task->group_leader->comm);
}

static __always_inline bool program_is_kernel(void)
{
	struct task_struct *task = (void *)bpf_get_current_task_btf();

	return task->flags & PF_KTHREAD;
}

/*
 * The program is seen with the flow, in its own context. If it is another than was guessed, nothing is held
 * (gate_may_begin()) until the agent's pass has matched the flow anew: its generation says that it is due.
 */
static __noinline __attribute__((unused)) int program_seen(struct sock *sk, struct ac_flow *f)
{
	struct ac_control *c = the_control();
	char comm[AC_COMM_LEN];

	if (!sk || !f || !c || program_is_kernel())
		return 0;
	program_name(comm);
	f->named = AC_NAMED;
	/* If it was watched, then for that. */
	if (f->mode == AC_MODE_OBSERVE)
		flow_unwatch(f, c);
	listener_seen(sk, comm);
	/* One that was kept only until it is known whose it is goes now, if its policy leaves it alone. */
	if (comm_same(comm, f->comm) && f->mode != AC_MODE_OFF)
		return 0;
	__builtin_memcpy(f->comm, comm, AC_COMM_LEN);
	f->generation = c->policy_generation - 1;
	kick(AC_KICK_RECONCILE, netns_of(sk));
	return 0;
}
