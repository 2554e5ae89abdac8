/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The wheel of due holds (include/autocork/control.h). A hold counts itself in when it begins and out when it ends; a timer, running
 * only while holds come and go, looks at the slots whose time is over and wakes the agent if anybody is still in one.
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

/*
 * The slots that one turn looks at: those that were over since the last turn, even one that came late, and those that will be before
 * the next. A slot missed by more is seen when the wheel has turned once.
 */
#define WHEEL_PAST 24
#define WHEEL_AHEAD 8
_Static_assert(WHEEL_PAST + WHEEL_AHEAD == 32, "a bit each in wheel_taken()");

struct wheel_sums {
	__u32 tick;	/* now */
	__u32 begun;
	__s32 due[WHEEL_PAST + WHEEL_AHEAD];	/* of the slots from tick - WHEEL_PAST on; a hold may begin on one CPU and end on another */
};

/* One CPU's part. A callback, not a loop: the verifier goes through it once. */
static long wheel_add(__u32 cpu, struct wheel_sums *sums)
{
	__u32 zero = 0, i;
	struct ac_wheel *w = bpf_map_lookup_percpu_elem(&wheel, &zero, cpu);

	if (!w)
		return 1;
	sums->begun += w->begun;
	for (i = 0; i < WHEEL_PAST + WHEEL_AHEAD; i++)
		sums->due[i] += w->due[(sums->tick - WHEEL_PAST + i) & (AC_WHEEL_SLOTS - 1)];
	return 0;
}

/* Bit n: somebody is in the n-th of these slots. Without a branch, or the verifier would try all combinations. */
static __always_inline __u32 wheel_taken(const struct wheel_sums *sums)
{
	__u32 taken = 0, i;

	for (i = 0; i < WHEEL_PAST + WHEEL_AHEAD; i++) {
		__u32 minus = -sums->due[i];

		barrier_var(minus);
		taken |= minus >> 31 << i;
	}
	return taken;
}

static __always_inline bool wheel_overdue(const struct wheel_sums *sums, __u32 taken, __u32 checked)
{
	__u32 since = sums->tick - checked;

	taken &= (1u << WHEEL_PAST) - 1;
	return since < WHEEL_PAST ? taken >> (WHEEL_PAST - since) : taken;
}

/*
 * Ticks until somebody may be overdue: to the end of the next slot with somebody in it; a hold that begins from now on lasts at least
 * as long as the shortest that a policy allows. Most holds last some microseconds, so this is a timer for every max_hold, not every tick.
 */
static __always_inline __u32 wheel_rest(__u32 taken, __u32 shortest_us)
{
	__u32 most = shortest_us >> AC_WHEEL_SHIFT, rest;

	if (most > WHEEL_AHEAD - 1)
		most = WHEEL_AHEAD - 1;
	for (rest = 0; rest < WHEEL_AHEAD - 1; rest++)
		if (rest >= most || taken >> (WHEEL_PAST + rest) & 1)
			break;
	return rest + 1;
}

static __always_inline void wheel_look(struct wheel_sums *sums)
{
	__builtin_memset(sums, 0, sizeof(*sums));
	sums->tick = wheel_tick(now_us());
	bpf_loop(WHEEL_CPUS_MAX, wheel_add, sums, 0);
}

static int wheel_turn(void *map, __u32 *key, struct wheel_clock *clock)
{
	struct ac_control *c = the_control();
	struct wheel_sums sums;
	__u32 taken;

	if (!c)
		return 0;
	wheel_look(&sums);
	taken = wheel_taken(&sums);
	if (wheel_overdue(&sums, taken, clock->checked))
		kick(AC_KICK_OVERDUE, 0);
	clock->checked = sums.tick;
	if (sums.begun != clock->begun) {
		clock->begun = sums.begun;
		clock->grew = sums.tick;
	}
	if (sums.tick - clock->grew > AC_WHEEL_SLOTS) {
		/* Nothing began for a whole turn: disarm. A hold that began meanwhile saw us armed, so look once more. */
		__sync_lock_test_and_set(&c->wheel_armed, 0);
		wheel_look(&sums);
		taken = wheel_taken(&sums);
		if (sums.begun == clock->begun || __sync_lock_test_and_set(&c->wheel_armed, 1))
			return 0;
	}
	bpf_timer_start(&clock->timer, wheel_rest(taken, c->hold_min_us) * AC_WHEEL_TICK_US * 1000, 0);
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
	clock->checked = wheel_tick(now_us());
	bpf_timer_start(&clock->timer, AC_WHEEL_TICK_US * 1000, 0);
}

/* A hold begins that must end by now + max_hold. Returns its slot, for wheel_leave() (hold.bpf.h). */
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
