/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "telemetry/trial_judge.h"

#include <stddef.h>
#include <stdint.h>

static bool more_retransmits(uint64_t segments_before, uint64_t retransmits_before, uint64_t segments,
			     uint64_t retransmits)
{
	double before = segments_before ? (double)retransmits_before / segments_before : 0;

	return segments >= TRIAL_SEGMENTS_MIN &&
	       (double)retransmits / segments > before * TRIAL_RETRANSMIT_FACTOR + TRIAL_RETRANSMIT_SLACK;
}

enum trial_verdict trial_judge(const struct trial_phase *before, const struct trial_phase *trial, double max_delay_us)
{
	const struct ac_service_stats *then = &before->stats, *now = &trial->stats;

	if (more_retransmits(then->segments, then->retransmits, now->segments, now->retransmits) ||
	    more_retransmits(before->host_segments, before->host_retransmits, trial->host_segments,
			     trial->host_retransmits))
		return TRIAL_RETRANSMITS;
	if (now->writes < TRIAL_WRITES_MIN)
		return TRIAL_GOOD;
	if (now->misses > now->bursts * TRIAL_MISS_SHARE_MAX)
		return TRIAL_MISSES;
	return trial_hold_p99(trial) > max_delay_us ? TRIAL_DELAY : TRIAL_GOOD;
}

enum trial_verdict trial_conclude(const struct trial_phase *before, const struct trial_phase *trial,
				  double max_delay_us)
{
	enum trial_verdict verdict = trial_judge(before, trial, max_delay_us);

	return verdict == TRIAL_GOOD && trial->stats.writes < TRIAL_WRITES_MIN ? TRIAL_IDLE : verdict;
}

const char *trial_verdict_name(enum trial_verdict verdict)
{
	static const char *const names[] = {
		[TRIAL_GOOD] = "good",	 [TRIAL_RETRANSMITS] = "retransmits",
		[TRIAL_DELAY] = "delay", [TRIAL_MISSES] = "misses",
		[TRIAL_IDLE] = "idle",
	};

	return names[verdict];
}

double trial_saved_share(const struct trial_phase *phase)
{
	const struct ac_service_stats *stats = &phase->stats;

	return stats->writes ? (double)(stats->held + ac_shadow_saved(stats)) / stats->writes : 0;
}

double trial_segments_per_burst(const struct trial_phase *phase)
{
	return phase->stats.bursts ? (double)phase->stats.segments / phase->stats.bursts : 0;
}

double trial_segments_predicted(const struct trial_phase *before)
{
	const struct ac_service_stats *stats = &before->stats;
	double left = (double)stats->segments - ac_shadow_saved(stats);

	return stats->bursts && left > 0 ? left / stats->bursts : 0;
}

bool trial_gains(const struct trial_phase *before, const struct trial_phase *trial)
{
	const struct ac_service_stats *then = &before->stats, *now = &trial->stats;
	double waited;

	if (!now->held || !then->bursts || !now->bursts)
		return false;
	waited = (double)then->stall_us / then->bursts - (double)now->stall_us / now->bursts;
	return trial_segments_per_burst(before) - trial_segments_per_burst(trial) >= TRIAL_GAIN_PACKETS ||
	       waited >= TRIAL_GAIN_US;
}

double trial_hold_p99(const struct trial_phase *phase)
{
	uint64_t holds = 0, below = 0;

	for (size_t i = 0; i < AC_BUCKETS; i++)
		holds += phase->stats.hold_time[i];
	for (uint32_t i = 0; i < AC_BUCKETS && holds; i++) {
		below += phase->stats.hold_time[i];
		if (below * 100 >= holds * 99)
			return ac_bucket_top(i);
	}
	return 0;
}

void trial_since(struct trial_phase *a, const struct trial_phase *b)
{
	uint64_t *to = (uint64_t *)&a->stats;
	const uint64_t *from = (const uint64_t *)&b->stats;

	for (size_t i = 0; i < sizeof(a->stats) / sizeof(*to); i++)
		to[i] -= from[i] < to[i] ? from[i] : to[i];
	a->seconds -= b->seconds;
	a->host_cpu -= b->host_cpu;
	a->host_segments -= b->host_segments;
	a->host_retransmits -= b->host_retransmits;
}
