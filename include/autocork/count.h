/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Adding to counters and histograms, alike in BPF and user space. */
#pragma once
#include <autocork/histogram.h>

#ifndef barrier_var /* bpf/bpf_helpers.h has it */
#define barrier_var(var) ((void)(var))
#endif

/* Atomic, because a softirq may count on the same CPU in the middle of a program's own send(). */
static __always_inline void ac_count(__u64 *counter, __u64 n)
{
	__sync_fetch_and_add(counter, n);
}

/* One of a table of counters. */
static __always_inline void ac_add_at(__u64 *counters, __u32 size, __u32 index, __u64 n)
{
	/* Where clang knows the range it drops the check that the verifier needs, or moves it away from the access. */
	barrier_var(index);
	if (index < size)
		ac_count(&counters[index], n);
}

static __always_inline void ac_count_at(__u64 *counters, __u32 size, __u32 index)
{
	ac_add_at(counters, size, index, 1);
}

/* `n` values of a kind. */
static __always_inline void ac_add_in(__u64 histogram[AC_BUCKETS], __u32 value, __u64 n)
{
	ac_add_at(histogram, AC_BUCKETS, ac_bucket(value), n);
}

static __always_inline void ac_count_in(__u64 histogram[AC_BUCKETS], __u32 value)
{
	ac_add_in(histogram, value, 1);
}
