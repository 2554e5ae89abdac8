/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The wheel of due holds (include/autocork/control.h). A hold counts itself in when it begins and out when it ends; a timer, running
 * only while holds come and go, looks at the slot whose time is over and wakes the agent if anybody is still in it.
 */
#pragma once
#include "maps.bpf.h"
#include "tcp.bpf.h"

struct wheel_clock {
	struct bpf_timer timer;
	__u32 checked;	/* last tick looked at */
	__u32 begun;	/* sum of wheel.begun when it last grew … */
	__u32 grew;	/* … and the tick of that */
	__u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct wheel_clock);
} wheel_clock SEC(".maps");

#define WHEEL_CPUS_MAX 1024
#define CLOCK_MONOTONIC 1

static __always_inline __u32 wheel_tick(__u32 us)
{
	return us >> AC_WHEEL_SHIFT;
}

static __always_inline __s32 wheel_due(const struct ac_wheel *w, __u32 tick)
{
	return w->due[tick & (AC_WHEEL_SLOTS - 1)];
}

static __always_inline __u32 wheel_begun(void)
{
	__u32 begun = 0, zero = 0, cpu;
	struct ac_wheel *w;

	for (cpu = 0; cpu < WHEEL_CPUS_MAX; cpu++) {
		w = bpf_map_lookup_percpu_elem(&wheel, &zero, cpu);
		if (!w)
			break;
		begun += w->begun;
	}
	return begun;
}

static __always_inline bool wheel_overdue(__u32 tick, __u32 checked)
{
	__u32 zero = 0, cpu;
	struct ac_wheel *w;
	__s32 overdue = 0;

	for (cpu = 0; cpu < WHEEL_CPUS_MAX; cpu++) {
		w = bpf_map_lookup_percpu_elem(&wheel, &zero, cpu);
		if (!w)
			break;
		/* A tick may come late by one or two; slots missed by more are seen when the wheel has turned once. */
		overdue += wheel_due(w, tick - 1);
		if (tick - checked > 1)
			overdue += wheel_due(w, tick - 2);
		if (tick - checked > 2)
			overdue += wheel_due(w, tick - 3);
	}
	return overdue > 0;
}

static int wheel_turn(void *map, __u32 *key, struct wheel_clock *clock)
{
	__u32 tick = wheel_tick(now_us()), begun;
	struct ac_control *c = the_control();

	if (!c)
		return 0;
	if (wheel_overdue(tick, clock->checked))
		kick(AC_KICK_OVERDUE, 0);
	clock->checked = tick;
	begun = wheel_begun();
	if (begun != clock->begun) {
		clock->begun = begun;
		clock->grew = tick;
	}
	if (tick - clock->grew > AC_WHEEL_SLOTS) {
		/* Nothing began for a whole turn: disarm. A hold that began meanwhile saw us armed, so look once more. */
		__sync_lock_test_and_set(&c->wheel_armed, 0);
		if (wheel_begun() == begun || __sync_lock_test_and_set(&c->wheel_armed, 1))
			return 0;
	}
	bpf_timer_start(&clock->timer, AC_WHEEL_TICK_US * 1000, 0);
	return 0;
}

static __always_inline void wheel_arm(struct ac_control *c)
{
	struct wheel_clock *clock;
	__u32 zero = 0;

	if (c->wheel_armed || __sync_lock_test_and_set(&c->wheel_armed, 1))
		return;
	clock = bpf_map_lookup_elem(&wheel_clock, &zero);
	if (!clock)
		return;
	/* -EBUSY from the second time on: another wrapper, or an earlier hold, has done it. */
	bpf_timer_init(&clock->timer, &wheel_clock, CLOCK_MONOTONIC);
	bpf_timer_set_callback(&clock->timer, wheel_turn);
	bpf_timer_start(&clock->timer, AC_WHEEL_TICK_US * 1000, 0);
}

/* A hold begins that must end by now + max_hold. Returns its slot, for wheel_leave(). */
static __always_inline __u16 wheel_join(struct ac_control *c, __u32 now, __u32 max_hold_us)
{
	__u32 slot = wheel_tick(now + max_hold_us) & (AC_WHEEL_SLOTS - 1), zero = 0;
	struct ac_wheel *w = bpf_map_lookup_elem(&wheel, &zero);

	if (w) {
		__sync_fetch_and_add(&w->due[slot], 1);
		__sync_fetch_and_add(&w->begun, 1);
	}
	wheel_arm(c);
	return slot;
}

static __always_inline void wheel_leave(__u16 slot)
{
	__u32 zero = 0;
	struct ac_wheel *w = bpf_map_lookup_elem(&wheel, &zero);

	if (w)
		__sync_fetch_and_add(&w->due[slot & (AC_WHEEL_SLOTS - 1)], -1);
}
