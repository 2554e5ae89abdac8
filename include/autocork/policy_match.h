/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Does a rule match a flow, and which span is its peer in? Pure, shared by the data path and its C reference
 * (agent/policy/match.c).
 *
 * BPF callers should call these from a global (non-static) function or a bpf_loop() callback, so that the verifier
 * walks the matcher once and not once per rule.
 */
#pragma once
#include <autocork/policy.h>

#ifdef __clang__
#define AC_NO_UNROLL _Pragma("clang loop unroll(disable)")
#define AC_UNROLL _Pragma("clang loop unroll(full)")
#define AC_FORGET asm volatile("" ::: "memory")
#define AC_HIDE(value) asm volatile("" : "+r"(value))
#else
#define AC_NO_UNROLL
#define AC_UNROLL
#define AC_FORGET
#define AC_HIDE(value)
#endif

/* 1 if two characters are the same, else 0, without a branch. */
static __always_inline __u32 ac_glob_same(__u32 a, __u32 b)
{
	return ((a ^ b) - 1) >> 31;
}

/* Bits of the positions at which text has a character from low to high: only there is neither difference negative. */
static __always_inline __u32 ac_glob_positions(const char text[AC_COMM_LEN], __u32 low, __u32 high)
{
	__u32 positions = 0;

	AC_UNROLL
	for (int i = 0; i < AC_COMM_LEN; i++) {
		__u32 t = (__u8)text[i];

		AC_FORGET; /* or all 16 are loaded first, into 16 of the 64 words of BPF's stack */
		positions |= (~((t - low) | (high - t)) >> 31) << i;
	}
	return positions;
}

/*
 * Shell pattern against a comm, both ended by NUL or by their 16th byte: * ? [abc] [a-z] [!abc], as fnmatch(3) without
 * flags and without backslashes; a [ without its ] matches nothing.
 *
 * One walk over the pattern: the bits of `live` are the positions in the text up to which the pattern read so far can
 * match. What a character means is worked out in words of 0 and 1 instead of branches: the verifier walks every path
 * through the 16 steps, and with a branch per question there are more than a million instructions of them.
 */
static __always_inline bool ac_glob_match(const char pattern[AC_COMM_LEN], const char text[AC_COMM_LEN])
{
	/* Not known to be 1: clang 19 makes 16 branches of the comparison, which the verifier walks 65,536 ways. */
	__u32 lowest = 1;
	AC_HIDE(lowest);
	__u32 filled = ac_glob_positions(text, lowest, 255);
	__u32 valid = (filled ^ (filled + 1)) >> 1; /* positions before the first NUL */
	__u32 end = valid + 1;			    /* the bit of the text's length */
	__u32 live = 1;
	__u32 in_set = 0, first = 0, negated = 0, range = 0, previous = 0, set = 0;

	AC_NO_UNROLL
	for (int i = 0; i < AC_COMM_LEN; i++) {
		__u32 p = (__u8)pattern[i], next = i + 1 < AC_COMM_LEN ? (__u8)pattern[i + 1] : 0;
		__u32 open, star, any, literal, bang, close, dash, member, step, low;

		if (!p || !live)
			break;
		open = ac_glob_same(p, '[') & ~in_set;
		star = ac_glob_same(p, '*') & ~in_set;
		any = ac_glob_same(p, '?') & ~in_set;
		literal = ~(in_set | open | star | any) & 1;
		bang = ac_glob_same(p, '!') & in_set & first & ~negated;
		close = ac_glob_same(p, ']') & in_set & ~first;
		dash = ac_glob_same(p, '-') & in_set & ~first & ~range & ~ac_glob_same(previous, 0) &
		       ~ac_glob_same(next, ']');
		member = in_set & ~(bang | close | dash);

		low = p ^ ((p ^ previous) & -range);
		set = (set & -in_set) | (ac_glob_positions(text, low, p) & -(member | literal)) | -any;
		set ^= -(close & negated);
		step = literal | any | close;
		live = (live & ~-(step | star)) | (((live & set & valid) << 1) & -step) |
		       ((live | -live) & (valid | end) & -star);

		previous = (p & -(member & ~range)) | (previous & -dash);
		range = dash;
		first = open | bang;
		negated = (negated & in_set) | bang;
		in_set = open | (in_set & ~close);
	}
	return !in_set && (live & end);
}

/* ------------------------------------------------------------------ the hash tables */

static __always_inline __u32 ac_spread(__u64 x)
{
	x *= 0x9e3779b97f4a7c15ull;
	x ^= x >> 32;
	x *= 0xbf58476d1ce4e5b9ull;
	return x >> 32;
}

/* What a rule is looked for by: its control group's number, 0 for any, and its program's. */
static __always_inline __u32 ac_link_key(__u32 group, __u32 name)
{
	return group << 16 | name;
}

/* Where a search among `slots` slots begins. */
static __always_inline __u32 ac_link_slot(__u32 key, __u32 slots)
{
	return (__u64)ac_spread(key) * slots >> 32;
}

/* The name as two numbers. */
static __always_inline __u32 ac_name_place(__u64 head, __u64 tail)
{
	return AC_NAME_FIRST +
	       ((__u64)ac_spread(head ^ tail * 0x94d049bb133111ebull) * (AC_NAMES - AC_NAME_FIRST) >> 32);
}

static __always_inline __u32 ac_name_next(__u32 place)
{
	return place + 1 < AC_NAMES ? place + 1 : AC_NAME_FIRST;
}

static __always_inline __u32 ac_group_place(__u64 id)
{
	return ac_spread(id) & (AC_GROUPS - 1);
}

static __always_inline __u32 ac_group_next(__u32 place)
{
	return (place + 1) & (AC_GROUPS - 1);
}

/* ------------------------------------------------------------------ peers */

/* Half of an address as a number: its first byte is the most significant. */
static __always_inline __u64 ac_address_half(const __u8 bytes[8])
{
	__u64 number = 0;

	AC_UNROLL
	for (int i = 0; i < 8; i++)
		number = number << 8 | bytes[i];
	return number;
}

/* A binary search: the span that starts last of those that do not start after the address is in [first, end). */
struct ac_search {
	__u64 high, low;  /* the address, as in struct ac_span */
	__u32 first, end; /* numbers of spans; more than one apart: go on */
};

static __always_inline void ac_search_begin(struct ac_search *s, const struct ac_port *port, const __u8 address[16])
{
	s->high = ac_address_half(address);
	s->low = ac_address_half(address + 8);
	s->first = port->spans;
	s->end = port->spans + port->span_count;
}

static __always_inline bool ac_search_goes_on(const struct ac_search *s)
{
	return s->end - s->first > 1;
}

static __always_inline __u32 ac_search_next(const struct ac_search *s)
{
	return s->first + (s->end - s->first) / 2;
}

/* `span` is number ac_search_next(). */
static __always_inline void ac_search_narrow(struct ac_search *s, const struct ac_span *span)
{
	bool after = span->high != s->high ? span->high > s->high : span->low > s->low;
	__u32 middle = ac_search_next(s);

	if (after)
		s->end = middle;
	else
		s->first = middle;
}

/* Is `address` in the network of the `bits` leading bits of `network`? Both IPv6 or v4-mapped; 0 bits match all. */
static __always_inline bool ac_peer_matches(const __u8 network[16], __u8 bits, const __u8 address[16])
{
	__u64 high = 0, low = 0; /* what differs, most significant bit first */

	AC_UNROLL
	for (int i = 0; i < 8; i++) {
		high = high << 8 | (network[i] ^ address[i]);
		low = low << 8 | (network[8 + i] ^ address[8 + i]);
	}
	if (!bits)
		return true;
	if (bits <= 64)
		return !(high >> (64 - bits));
	return !high && !(low >> (bits < 128 ? 128 - bits : 0));
}

/*
 * All conditions of a rule except the cgroup, which the caller knows how to test: where this says yes and rule->cgroup
 * is not 0, the flow's cgroup must be rule->cgroup or below it.
 */
static __always_inline bool ac_rule_matches(const struct ac_rule *rule, const struct ac_facts *facts)
{
	if (rule->side != AC_SIDE_ANY && rule->side != facts->side)
		return false;
	if (rule->peer_bits && !ac_peer_matches(rule->peer, rule->peer_bits, facts->peer))
		return false;
	return !rule->program[0] || ac_glob_match(rule->program, facts->comm);
}
