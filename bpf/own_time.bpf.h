/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A gap between two writes is the program's own only as far as it ran, if the first of them left: a packet may wake its
 * receiver on the same CPU, which then runs first. Held, it would have woken nobody. Whoever sleeps in between waits
 * for something, and would as well if its writes were held.
 */
#pragma once
#include "maps.bpf.h"
#include <autocork/predictor.h>

/* How often the task that runs has gone to sleep, and who it is. */
static __always_inline __u32 own_waits(void)
{
	struct task_struct *task = (void *)bpf_get_current_task_btf();

	return task->nvcsw + ((__u32)task->pid << 16);
}

/* Its CPU time, from an unknown beginning on. The scheduler brings sum_exec_runtime up to date at exec_start; its clock
 * differs from ours, but not from write to write. */
static __always_inline __u32 own_time_us(__u32 now_us)
{
	struct task_struct *task = (void *)bpf_get_current_task_btf();

	return now_us - (__u32)((task->se.exec_start - task->se.sum_exec_runtime) / 1000);
}

/* After a write that leaves. */
static __always_inline void own_time_note(struct ac_flow *f, __u32 now_us)
{
	f->waits = own_waits();
	f->ran_us = own_time_us(now_us);
	f->flags |= AC_FLOW_TIMED;
}

/* Before ac_on_write(). */
static __always_inline void own_gap(struct ac_flow *f, __u32 now_us)
{
	if (f->flags & AC_FLOW_TIMED && f->predictor.len && f->waits == own_waits())
		ac_on_ran(&f->predictor, now_us, own_time_us(now_us) - f->ran_us);
}

/* After the first write of a hold. */
static __always_inline void own_waits_note(struct ac_flow *f)
{
	f->waits = own_waits();
	f->flags &= ~AC_FLOW_TIMED;
}
