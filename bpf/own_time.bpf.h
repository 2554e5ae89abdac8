/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A gap between two writes is the program's own only as far as it ran, if the first of them left: a packet may wake its
 * receiver on the same CPU, which then runs first. Held, it would have woken nobody. Whoever sleeps in between waits
 * for something, and would as well if its writes were held.
 */
#pragma once
#include "maps.bpf.h"
#include <autocork/predictor.h>

/* Of the task that runs. */
struct own_time {
	__u32 ran_us; /* its CPU time, from an unknown beginning on */
	__u32 waits;  /* how often it has gone to sleep, and who it is */
};

static __always_inline __u32 own_waits(void)
{
	struct task_struct *task = (void *)bpf_get_current_task_btf();

	return task->nvcsw + ((__u32)task->pid << 16);
}

/* The scheduler brings sum_exec_runtime up to date at exec_start; its clock differs from ours, but not from write to
 * write. */
static __always_inline struct own_time own_time(__u32 now_us)
{
	struct task_struct *task = (void *)bpf_get_current_task_btf();
	__u64 away_us = (task->se.exec_start - task->se.sum_exec_runtime) / 1000;

	return (struct own_time){ now_us - (__u32)away_us, own_waits() };
}

/* Before ac_on_write(), if the flow is `timed`. */
static __always_inline void own_gap(struct ac_flow *f, struct own_time own, __u32 now_us)
{
	if (f->predictor.len && f->waits == own.waits)
		ac_on_ran(&f->predictor, now_us, own.ran_us - f->ran_us);
}

/* A write leaves. */
static __always_inline void own_time_note(struct ac_flow *f, struct own_time own)
{
	f->ran_us = own.ran_us;
	f->waits = own.waits;
	f->timed = true;
}

/* A hold begins. */
static __always_inline void own_waits_note(struct ac_flow *f)
{
	f->waits = own_waits();
	f->timed = false;
}
