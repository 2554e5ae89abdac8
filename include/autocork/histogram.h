/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Log-linear histogram: two buckets per power of two, one function for the side that counts and the side that
 * prints. */
#pragma once
#include <autocork/types.h>

#define AC_BUCKETS 44 /* 0, 1, then two per octave up to 2^21; the last bucket takes the rest */

/* floor(log2(v)) for v > 0; spelled out because clang 14 has no count-leading-zeros for BPF. */
static __always_inline __u32 ac_log2(__u32 v)
{
	__u32 log = (v > 0xffff) << 4, shift;

	v >>= log;
	shift = (v > 0xff) << 3;
	v >>= shift;
	log |= shift;
	shift = (v > 0xf) << 2;
	v >>= shift;
	log |= shift;
	shift = (v > 0x3) << 1;
	v >>= shift;
	return log | shift | v >> 1;
}

/* Bucket of v: 0 -> 0, 1 -> 1, 2 -> 2, 3 -> 3, 4..5 -> 4, 6..7 -> 5, 8..11 -> 6, … */
static __always_inline __u32 ac_bucket(__u32 v)
{
	__u32 octave, bucket;

	if (v < 2)
		return v;
	octave = ac_log2(v);
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
