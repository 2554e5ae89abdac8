/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Does a rule match a flow? Pure, shared by the data path and its C reference (agent/policy/match.c).
 *
 * BPF callers should call these from a global (non-static) function or a bpf_loop() callback, so that the verifier walks the
 * matcher once and not once per rule.
 */
#pragma once
#include <autocork/policy.h>

#ifdef __clang__
#define AC_NO_UNROLL _Pragma("clang loop unroll(disable)")
#else
#define AC_NO_UNROLL
#endif

/*
 * Shell pattern against a comm, both ended by NUL or by their 16th byte: * ? [abc] [a-z] [!abc], as fnmatch(3) without flags
 * and without backslashes.
 *
 * The set of pattern positions that the text read so far can stand at is kept as bits of `live`: no backtracking, at most 16 x 16
 * steps, and both loop counters are the only array indices, which is what lets the 6.1 verifier prune (it compares
 * values only where an index depends on them).
 */
static __always_inline bool ac_glob_match(const char pattern[AC_COMM_LEN], const char text[AC_COMM_LEN])
{
	__u32 live = 1;

	AC_NO_UNROLL
	for (int i = 0; i <= AC_COMM_LEN; i++) {
		__u8 c = i < AC_COMM_LEN ? (__u8)text[i] : 0, previous = 0;
		bool in_set = false, first = false, negated = false, hit = false, range = false;
		__u32 next = 0, alive = 0;

		AC_NO_UNROLL
		for (int j = 0; j <= AC_COMM_LEN; j++) {
			__u8 p = j < AC_COMM_LEN ? (__u8)pattern[j] : 0;
			__u32 here = live >> j & 1;

			if (!p) {
				if (!c)
					return here && !in_set;
				break;
			}
			if (!in_set) {
				if (p == '*') {
					next |= here << j;
					live |= here << (j + 1);
				} else if (p == '[') {
					in_set = first = true;
					negated = hit = range = false;
					previous = 0;
					alive = here;
				} else if (p == '?' || p == c) {
					next |= here << (j + 1);
				}
			} else if (first && p == '!' && !negated) {
				negated = true;
			} else if (p == ']' && !first) {
				in_set = false;
				if (hit != negated)
					next |= alive << (j + 1);
			} else {
				first = false;
				if (range) {
					hit |= previous <= c && c <= p;
					range = false;
					previous = 0;
				} else if (p == '-' && previous && j + 1 < AC_COMM_LEN && pattern[j + 1] != ']') {
					range = true;
				} else {
					hit |= p == c;
					previous = p;
				}
			}
		}
		live = next;
		if (!live)
			return false;
	}
	return false;
}

/* Is `address` in the network of the `bits` leading bits of `network`? Both IPv6 or v4-mapped; 0 bits match everything. */
static __always_inline bool ac_peer_matches(const __u8 network[16], __u8 bits, const __u8 address[16])
{
	AC_NO_UNROLL
	for (int i = 0; i < 16; i++) {
		int rest = bits - 8 * i;
		__u8 mask = rest >= 8 ? 0xff : rest <= 0 ? 0 : (__u8)(0xff00 >> rest);

		if ((network[i] ^ address[i]) & mask)
			return false;
	}
	return true;
}

/*
 * All conditions of a rule except the cgroup, which the caller knows how to test: where this says yes and rule->cgroup is not 0,
 * the flow's cgroup must be rule->cgroup or below it.
 */
static __always_inline bool ac_rule_matches(const struct ac_rule *rule, const struct ac_facts *facts)
{
	if (rule->side != AC_SIDE_ANY && rule->side != facts->side)
		return false;
	if (rule->peer_bits && !ac_peer_matches(rule->peer, rule->peer_bits, facts->peer))
		return false;
	return !rule->program[0] || ac_glob_match(rule->program, facts->comm);
}
