/* SPDX-License-Identifier: GPL-2.0 */
/* The end of a hold, whoever ends it. */
#pragma once
#include "maps.bpf.h"

static __always_inline void wheel_leave(__u16 slot)
{
	__u32 zero = 0;
	struct ac_wheel *w = bpf_map_lookup_elem(&wheel, &zero);

	if (w)
		__sync_fetch_and_add(&w->due[slot & (AC_WHEEL_SLOTS - 1)], -1);
}

/* Accounts for the hold under way. The window is back already, or the socket is gone. */
static __always_inline void hold_ended(struct ac_flow *f, __u32 now, __u32 reason)
{
	struct ac_service_stats *stats = stats_of(f);
	/* Without a last write to join, the first of the held ones would have been a packet anyway. */
	__u32 saved = reason == AC_REASON_COMPLETE ? f->held_now : f->held_now - 1;
	__u32 held_us = now - f->hold_us;

	wheel_leave(f->wheel_slot);
	f->held += saved;
	f->held_now = 0;
	f->flags &= ~AC_FLOW_MARKED;
	if (!stats)
		return;
	ac_count(&stats->held, saved);
	ac_count(&stats->hold_us, held_us);
	ac_count_in(stats->hold_time, held_us);
	ac_count_at(stats->released, AC_REASON_MAX, reason);
}
