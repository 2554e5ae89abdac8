/* SPDX-License-Identifier: GPL-2.0 */
/* The end of a hold, whoever ends it. */
#pragma once
#include "maps.bpf.h"

/* It was in vain, or late: the wheel comes more often for a while. */
static __always_inline void hold_was_wrong(void)
{
	__u32 zero = 0;
	struct ac_wheel *w = bpf_map_lookup_elem(&wheel, &zero);

	if (w)
		w->wrong++;
}

static __always_inline void miss_count(struct ac_flow *f, struct ac_service_stats *stats)
{
	hold_was_wrong();
	f->misses++;
	if (stats)
		ac_count(&stats->misses, 1);
}

/* How much the hold outlived its max_hold. */
static __always_inline void hold_was_late(struct ac_service_stats *stats, __u32 late_us)
{
	ac_count(&stats->late_us, late_us);
	ac_count_in(stats->lateness, late_us);
	if (late_us > AC_LATE_US) {
		ac_count(&stats->holds_late, 1);
		hold_was_wrong();
	}
}

/*
 * Where what Nagle kept last was a stall, a hold spares one: the first write would have left, and those behind it would
 * have waited for its ACK. Nobody can measure what did not happen: it counts as long as those that were seen.
 */
static __always_inline void hold_spared(const struct ac_flow *f, struct ac_service_stats *stats)
{
	struct ac_service_memory *memory = memory_of(f);

	if (memory)
		ac_count(&stats->saved_wait_us, memory->stall_us);
}

/* Accounts for the hold under way. The window is back already, or the socket is gone. The flow leaves the wheel by
 * itself. */
static __always_inline void hold_ended(struct ac_flow *f, __u32 now, __u32 reason)
{
	struct ac_service_stats *stats = stats_of(f);
	__u32 saved = ac_packets_saved(f->held_now, reason == AC_REASON_COMPLETE, f->hold_nagle);
	__u32 held_us = now - f->hold_us;

	f->held += saved;
	f->held_now = 0;
	f->asked = 0;
	if (!stats)
		return;
	ac_count(&stats->held, saved);
	if (saved && f->hold_nagle != AC_NAGLE_OFF && f->predictor.stall_seen)
		hold_spared(f, stats);
	ac_count(&stats->hold_us, held_us);
	ac_count_in(stats->hold_time, held_us);
	ac_count_at(stats->released, AC_REASON_MAX, reason);
	if ((__s32)(held_us - f->max_hold_us) > 0)
		hold_was_late(stats, held_us - f->max_hold_us);
}
