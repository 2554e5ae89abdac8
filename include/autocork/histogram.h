/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Log-linear histogram: two buckets per power of two, one function for the side that counts and the side that prints. */
#pragma once
#include <autocork/types.h>

#define AC_BUCKETS 44	/* 0, 1, then two per octave up to 2^21; the last bucket takes the rest */

/* Bucket of v: 0 -> 0, 1 -> 1, 2 -> 2, 3 -> 3, 4..5 -> 4, 6..7 -> 5, 8..11 -> 6, … */
static __always_inline __u32 ac_bucket(__u32 v)
{
	__u32 octave, bucket;

	if (v < 2)
		return v;
	octave = 31 - __builtin_clz(v);
	bucket = 2 * octave + ((v >> (octave - 1)) & 1);
	return bucket < AC_BUCKETS ? bucket : AC_BUCKETS - 1;
}

/* Largest value that falls into a bucket (inclusive), the `le` of a classic histogram; the last bucket has none. */
static __always_inline __u32 ac_bucket_top(__u32 bucket)
{
	__u32 octave = bucket / 2, half = bucket & 1;

	if (bucket < 2)
		return bucket;
	return ((2 + half + 1) << (octave - 1)) - 1;
}
