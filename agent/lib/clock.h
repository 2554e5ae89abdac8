/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What a clock says, as one number. The monotonic clock is the one of the BPF programs (bpf_ktime_get_ns). */
#pragma once
#include <stdint.h>
#include <time.h>

static inline uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

static inline double clock_seconds(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec + now.tv_nsec * 1e-9;
}

static inline uint64_t monotonic_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

static inline uint64_t monotonic_us(void)
{
	return monotonic_ns() / 1000;
}

static inline double monotonic_seconds(void)
{
	return clock_seconds(CLOCK_MONOTONIC);
}

/* Length of the kernel's tick, 0 if it cannot be told: the coarse clocks go on with it. */
static inline uint32_t tick_ns(void)
{
	struct timespec resolution;

	return clock_getres(CLOCK_MONOTONIC_COARSE, &resolution) || resolution.tv_sec ? 0 : resolution.tv_nsec;
}
