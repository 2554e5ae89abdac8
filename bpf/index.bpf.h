/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Finds a flow's record by its socket. Buckets of one cache line each, two for a socket; a place is taken and left with
 * one instruction. docs/design.md ("What was hard") has what the kernel's own ways to do the same would cost.
 */
#pragma once
#include <autocork/control.h>
#include <autocork/flow.h>

#define INDEX_PLACES 8

struct index_bucket {
	__u64 entry[INDEX_PLACES]; /* tag of the socket (upper half), number of its record; 0 = free */
};

/* Mappable for its alignment only: other arrays begin their values at multiples of 8. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct index_bucket);
} flow_index SEC(".maps");

/* Where the places of a socket are, and what they say of it. */
struct index_key {
	__u32 bucket[2];
	__u32 tag;
};

/*
 * Of the socket's address, which the verifier lets nobody calculate with but for the difference to another. The
 * multiplier is 2^64 by the golden ratio (Knuth, TAOCP 3, 6.4): the upper bits of the product depend on all of the
 * address, the tag is the lower half, scrambled.
 */
static __always_inline struct index_key index_key(const void *sk, const struct ac_control *c)
{
	__u64 hash = (__u64)sk;

	asm volatile("%0 -= %1" : "+r"(hash) : "r"(c));
	hash *= 0x9e3779b97f4a7c15;
	return (struct index_key){
		.bucket = { (hash >> 44) & c->index_mask, (hash >> 24) & c->index_mask },
		.tag = hash,
	};
}

/* The number in a bucket that goes with the tag, 0 if there is none. */
static __always_inline __u32 index_look(__u32 bucket, __u32 tag)
{
	const struct index_bucket *b = bpf_map_lookup_elem(&flow_index, &bucket);

	if (!b)
		return 0;
#pragma unroll
	for (int i = 0; i < INDEX_PLACES; i++) {
		__u64 entry = b->entry[i];

		if (entry >> 32 == tag && (__u32)entry)
			return entry;
	}
	return 0;
}

/* Takes one of the first places of the bucket. Returns it, or -1 if all of them are taken. */
static __always_inline int index_take(__u32 bucket, __u32 places, __u64 entry)
{
	struct index_bucket *b = bpf_map_lookup_elem(&flow_index, &bucket);

	if (!b)
		return -1;
#pragma unroll
	for (__u32 i = 0; i < places; i++)
		if (!b->entry[i] && !__sync_val_compare_and_swap(&b->entry[i], 0, entry))
			return bucket * INDEX_PLACES + i;
	return -1;
}

static __always_inline void index_leave(__u32 place)
{
	__u32 bucket = place / INDEX_PLACES;
	struct index_bucket *b = bpf_map_lookup_elem(&flow_index, &bucket);

	if (b)
		*(volatile __u64 *)&b->entry[place % INDEX_PLACES] = 0;
}

/* Does the bucket have the tag for another record? */
static __always_inline bool index_has_other(__u32 bucket, __u32 tag, __u32 number)
{
	const struct index_bucket *b = bpf_map_lookup_elem(&flow_index, &bucket);

	if (!b)
		return false;
#pragma unroll
	for (int i = 0; i < INDEX_PLACES; i++) {
		__u64 entry = b->entry[i];

		if (entry >> 32 == tag && (__u32)entry && (__u32)entry != number)
			return true;
	}
	return false;
}

/*
 * Writes down that the record of this number is the socket's. Returns the place, or -1: both buckets are full, or there
 * is one that would be taken for this one, of another socket or of the same by another CPU at the same time. A function
 * that the verifier checks by itself.
 */
__attribute__((noinline)) int index_add(__u32 first, __u32 second, __u32 tag, __u32 number)
{
	__u64 entry = (__u64)tag << 32 | number;
	int place = index_take(first, INDEX_PLACES - 2, entry);

	/*
	 * Before the first is full: then both hardly ever are. In a simulation with 65,536 flows, as many as there may
	 * be, 6 of 1.5 million that took the places of others found none.
	 */
	if (place < 0)
		place = index_take(second, INDEX_PLACES, entry);
	if (place < 0)
		place = index_take(first, INDEX_PLACES, entry);
	if (place < 0)
		return -1;
	if (!index_has_other(first, tag, number) && !index_has_other(second, tag, number))
		return place;
	index_leave(place);
	return -1;
}
