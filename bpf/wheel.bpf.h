/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The wheel of due holds (include/autocork/control.h). A flow joins it when it holds and is in no slot; a timer,
 * running only while holds come and go, empties the slots whose time is over, and hands the flows that still hold to
 * the release processes: ahead of the end of the hold, and those that hold after it all the same once more, for another
 * process.
 */
#pragma once
#include "maps.bpf.h"
#include "owner.bpf.h"
#include "tcp.bpf.h"

struct wheel_clock {
	struct bpf_timer timer;
	__u32 checked;	 /* slots before this tick are empty, but for late comers */
	__u32 next;	 /* number of the record at which the last turn stopped */
	__u32 taken;	 /* tick when a slot last had somebody */
	__u32 moved_us;	 /* when the readers of `dues` last moved on … */
	__u32 kicked_us; /* … and when the agent was last told that one is stuck */
	__u64 position;	 /* theirs */
	__u32 wary_us;	 /* until then by what wrong holds there were: see wheel_is_wary() */
	__u32 wrong;	 /* ac_wheel.wrong at that time */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct wheel_clock);
} wheel_clock SEC(".maps");

#define CLOCK_MONOTONIC 1
#define WHEEL_TICKS (1u << (32 - AC_WHEEL_SHIFT)) /* where they wrap */
/* Slots looked at once more: a CPU may have been away between finding its slot and joining it. */
#define WHEEL_BACK 32
/* Slots looked ahead for the time of the next turn. */
#define WHEEL_AHEAD 16
/* Slots and flows that one turn goes through, in a softirq; the next one goes on from there. */
#define WHEEL_STEPS 2048

static __always_inline __u32 wheel_tick(__u32 us)
{
	return us >> AC_WHEEL_SHIFT;
}

/* From one tick to a later one. */
static __always_inline __u32 wheel_ticks(__u32 from, __u32 to)
{
	return (to - from) & (WHEEL_TICKS - 1);
}

/* False if it did not get through: so many CPUs meet here hardly ever. */
static __always_inline bool wheel_push(struct ac_wheel *w, struct ac_owner *o, __u32 number, __u32 tick)
{
	__u32 *first = &w->first[tick & (AC_WHEEL_SLOTS - 1)], was;

	for (int i = 0; i < 16; i++) {
		was = *(volatile __u32 *)first;
		o->next = was;
		if (__sync_val_compare_and_swap(first, was, number) == was) {
			__sync_fetch_and_add(&w->members, 1);
			return true;
		}
	}
	*(volatile __u32 *)&o->queued = 0;
	return false;
}

static __always_inline __u32 wheel_end_us(const struct ac_flow *f)
{
	return f->hold_us + f->hold_limit_us;
}

/* So long before its end a hold of that length is looked at. */
static __always_inline __u32 wheel_ahead_us(__u32 limit_us)
{
	return limit_us / 2 < AC_DUE_AHEAD_US ? limit_us / 2 : AC_DUE_AHEAD_US;
}

/* When its hold is to be looked at. */
static __always_inline __u32 wheel_look_us(const struct ac_flow *f)
{
	if (f->asked)
		return wheel_end_us(f) + AC_WHEEL_TICK_US;
	return wheel_end_us(f) - wheel_ahead_us(f->hold_limit_us);
}

/*
 * `sooner` is for the bound of a wrong hold, max_hold: a hold that may not last so long may end late within that, and
 * to end it exactly would end some that go on after all.
 */
static __always_inline bool wheel_is_due(const struct ac_flow *f, __u32 now, __u32 sooner)
{
	__u32 bound = f->hold_us + f->max_hold_us - wheel_ahead_us(f->max_hold_us);

	return (__s32)(now - wheel_look_us(f)) >= 0 || (!f->asked && (__s32)(now + sooner - bound) >= 0);
}

/* Into the slot of that time, unless it is in one. */
static __always_inline bool wheel_put(struct ac_wheel *w, struct ac_flow *f, struct ac_owner *o)
{
	return __sync_lock_test_and_set(&o->queued, 1) || wheel_push(w, o, f->number, wheel_tick(wheel_look_us(f)));
}

/* The same, in no slot that is over. */
static __always_inline void wheel_put_later(struct ac_wheel *w, struct ac_flow *f, struct ac_owner *o, __u32 now)
{
	__u32 tick = wheel_tick(wheel_look_us(f));

	if ((__s32)(now - wheel_look_us(f)) >= 0)
		tick = wheel_tick(now) + 1;
	if (!__sync_lock_test_and_set(&o->queued, 1))
		wheel_push(w, o, f->number, tick);
}

struct wheel_walk {
	__u32 now;
	__u32 tick, end; /* slots still to be emptied */
	__u32 next;	 /* number of the record to be looked at */
	__u32 taken;
	__u32 sooner; /* who is due so soon is due now: the next turn would be too late */
};

/* A flow that was in a slot. */
static __always_inline void wheel_due(struct ac_wheel *w, struct ac_flow *f, struct ac_owner *o, __u32 now,
				      __u32 sooner)
{
	bool handed;

	__sync_fetch_and_add(&w->members, -1);
	/* With full ordering: a hold that begins now either sees this, and joins, or is seen below. */
	__sync_lock_test_and_set(&o->queued, 0);
	if (!*(volatile __u16 *)&f->held_now)
		return;
	if (!wheel_is_due(f, now, sooner)) {
		wheel_put(w, f, o);
		return;
	}
	handed = f->asked;
	/* The second time, or else the ring is full: in a moment. */
	if (!owner_release_at(f, AC_REASON_DEADLINE, wheel_end_us(f)) || !handed)
		wheel_put_later(w, f, o, now);
}

/* A callback, not a loop: the verifier goes through it once. */
static long wheel_step(__u32 i, struct wheel_walk *walk)
{
	__u32 zero = 0, number = walk->next, slot;
	struct ac_wheel *w = bpf_map_lookup_elem(&wheel, &zero);
	struct ac_owner *o;
	struct ac_flow *f;

	if (!w)
		return 1;
	if (!number) {
		if (walk->tick == walk->end)
			return 1;
		slot = walk->tick & (AC_WHEEL_SLOTS - 1);
		walk->tick = (walk->tick + 1) & (WHEEL_TICKS - 1);
		if (w->first[slot])
			walk->next = __sync_lock_test_and_set(&w->first[slot], 0);
		return 0;
	}
	walk->taken = 1;
	f = bpf_map_lookup_elem(&records, &number);
	o = bpf_map_lookup_elem(&owners, &number);
	if (!f || !o)
		return 1;
	walk->next = o->next;
	wheel_due(w, f, o, walk->now, walk->sooner);
	return 0;
}

static __always_inline bool wheel_worker_is_stuck(const struct ac_release_worker *worker, __u32 now)
{
	__u32 since_us = *(volatile __u32 *)&worker->since_us;

	return since_us && (__s32)(now - since_us) > AC_STUCK_US;
}

/* Does one of them wait for a lock, or does nobody take what is handed over? True while they have something to do. */
static __always_inline bool wheel_watch(struct wheel_clock *clock, __u32 now)
{
	__u64 position = bpf_ringbuf_query(&dues, BPF_RB_CONS_POS);
	__u32 zero = 0;
	struct ac_releaser *r = bpf_map_lookup_elem(&releaser, &zero);
	bool waits = bpf_ringbuf_query(&dues, BPF_RB_AVAIL_DATA), stuck;

	if (!r)
		return false;
	if (position != clock->position || !waits) {
		clock->position = position;
		clock->moved_us = now;
	}
	stuck = now - clock->moved_us > AC_STUCK_US;
	for (int i = 0; i < AC_RELEASE_WORKERS; i++) {
		stuck |= wheel_worker_is_stuck(&r->worker[i], now);
		waits |= *(volatile __u32 *)&r->worker[i].since_us != 0;
	}
	if (stuck && now - clock->kicked_us > AC_STUCK_US && kick(AC_KICK_STUCK, 0))
		clock->kicked_us = now;
	return waits;
}

/* Each wrong hold counts for so long; the wheel is wary while that adds up to more than a few of them. */
#define WARY_EACH_US (1u << 16)
#define WARY_FROM_US (1u << 18)
#define WARY_MOST_US (1u << 21)

/* Were there many wrong holds of late? */
static __always_inline bool wheel_is_wary(struct wheel_clock *clock, const struct ac_wheel *w, __u32 now)
{
	__u32 left = clock->wary_us - now, wrong = w->wrong - clock->wrong;

	clock->wrong += wrong;
	if (left > WARY_MOST_US) /* it is over */
		left = 0;
	left += (wrong < WARY_MOST_US / WARY_EACH_US ? wrong : WARY_MOST_US / WARY_EACH_US) * WARY_EACH_US;
	if (left > WARY_MOST_US)
		left = WARY_MOST_US;
	clock->wary_us = now + left;
	return left > WARY_FROM_US;
}

/*
 * For wrong holds to end when they must: until the next slot with somebody in it is over. A hold that begins from now
 * on is looked at after half of the shortest that a policy allows.
 */
static __always_inline __u32 wheel_wary_rest_us(const struct ac_wheel *w, __u32 now, __u32 shortest_us)
{
	__u32 most = shortest_us >> (AC_WHEEL_SHIFT + 1), tick = wheel_tick(now), rest;

	for (rest = 0; rest < WHEEL_AHEAD - 1; rest++)
		if (rest >= most || w->first[(tick + rest) & (AC_WHEEL_SLOTS - 1)])
			break;
	return (rest + 1) * AC_WHEEL_TICK_US - (now & (AC_WHEEL_TICK_US - 1));
}

/* Where it is not wary a turn hands over who is due so soon after it: the next one would be too late for that. */
static __always_inline __u32 wheel_sooner_us(const struct ac_control *c)
{
	return wheel_ahead_us(c->max_hold_us) / 2;
}

/*
 * Most holds last some microseconds, and nobody is in a slot for a reason: an interrupt for each slot would cost more
 * than all else (20 to 80 us of a virtual machine's processor). So the timer comes as rarely as the bound of a wrong
 * hold lets it, and if it can, with the kernel's own tick, which is an interrupt that there is anyway. (Ticks are at
 * multiples of their length since 6.3, e9523a0d8189.)
 */
static __always_inline __u64 wheel_rest_ns(const struct ac_control *c)
{
	__u64 rest = (wheel_ahead_us(c->max_hold_us) + wheel_sooner_us(c) + AC_LATE_US / 2) * 1000ULL;
	__u64 now = bpf_ktime_get_ns(), tick;

	if (!c->tick_ns)
		return rest;
	tick = (now + rest) / c->tick_ns * c->tick_ns;
	return tick > now ? tick - now : rest;
}

static int wheel_turn(void *map, __u32 *key, struct wheel_clock *clock)
{
	struct ac_control *c = the_control();
	struct wheel_walk walk = {};
	struct ac_wheel *w;
	__u32 zero = 0;
	__u64 rest_ns;
	bool wary, waits;

	w = bpf_map_lookup_elem(&wheel, &zero);
	if (!c || !w)
		return 0;
	walk.now = now_us();
	wary = wheel_is_wary(clock, w, walk.now);
	walk.sooner = wary ? 0 : wheel_sooner_us(c);
	walk.end = wheel_tick(walk.now + walk.sooner);
	walk.tick = (clock->checked - WHEEL_BACK) & (WHEEL_TICKS - 1);
	if (wheel_ticks(walk.tick, walk.end) > AC_WHEEL_SLOTS)
		walk.tick = (walk.end - AC_WHEEL_SLOTS) & (WHEEL_TICKS - 1);
	walk.next = clock->next;
	bpf_loop(WHEEL_STEPS, wheel_step, &walk, 0);
	clock->checked = walk.tick;
	clock->next = walk.next;
	if (walk.taken)
		clock->taken = walk.end;
	waits = wheel_watch(clock, walk.now);
	if (walk.next || walk.tick != walk.end) {
		rest_ns = 50 * 1000;
	} else if (!waits && wheel_ticks(clock->taken, walk.end) > AC_WHEEL_SLOTS && w->members <= 0) {
		/*
		 * Nobody for a whole turn: disarm. Not sooner: arming again, in a write, takes longer than that write's
		 * wait is worth. A hold that began meanwhile saw us armed, so look once more.
		 */
		__sync_lock_test_and_set(&c->wheel_armed, 0);
		if (*(volatile __s32 *)&w->members <= 0 || __sync_lock_test_and_set(&c->wheel_armed, 1))
			return 0;
		rest_ns = AC_WHEEL_TICK_US * 1000;
	} else {
		rest_ns = wary ? wheel_wary_rest_us(w, walk.now, c->hold_min_us) * 1000ULL : wheel_rest_ns(c);
	}
	bpf_timer_start(&clock->timer, rest_ns, 0);
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
	clock->taken = wheel_tick(now_us());
	clock->checked = clock->taken;
	bpf_timer_start(&clock->timer, wheel_rest_ns(c), 0);
}

/* A hold has begun that must end by f->hold_us + hold_limit_us. False if nothing would end it. */
static __always_inline bool wheel_join(struct ac_control *c, struct ac_flow *f)
{
	struct ac_owner *o = owner_of(f);
	__u32 zero = 0;
	struct ac_wheel *w = bpf_map_lookup_elem(&wheel, &zero);

	if (!w || !o)
		return false;
	o->end_us = wheel_end_us(f);
	if (!wheel_put(w, f, o))
		return false;
	wheel_arm(c);
	return true;
}
