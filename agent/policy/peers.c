/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Prefixes are nested or apart. In the order of their first address, the wider first where that is the same, each
 * starts a span at its first address, and where it ends another one starts, that of the prefix around it.
 */
#include "policy/peers.h"

#include <stdlib.h>
#include <string.h>

#include <autocork/policy_match.h>

#include "lib/memory.h"

/* What is known of prefixes while they are gone through: those that the place reached is in, the widest first. */
struct cover {
	uint8_t last[16]; /* its last address */
	uint32_t chain;
};

struct walk {
	struct policy_set *set;
	struct cover covers[128]; /* prefixes inside each other differ in their length, 1 to 128 */
	size_t count;
};

static int by_prefix(const void *a, const void *b, void *context)
{
	const struct policy_set *set = context;
	const struct ac_rule *x = &set->rules[((const struct ranked *)a)->rule];
	const struct ac_rule *y = &set->rules[((const struct ranked *)b)->rule];
	int order = memcmp(x->peer, y->peer, sizeof(x->peer));

	if (!order)
		order = x->peer_bits - y->peer_bits;
	return order ? order : ranked_compare(a, b);
}

void chain_append(struct policy_set *set, uint32_t link)
{
	set->chain = memory_room(set->chain, set->chain_count, sizeof(*set->chain));
	set->chain[set->chain_count++] = link;
}

static uint32_t chain_around(const struct walk *walk)
{
	return walk->count ? walk->covers[walk->count - 1].chain : AC_CHAIN_END;
}

/* From `address` on what is around holds. A span that would start where the last one does takes its place. */
static void span_append(struct walk *walk, size_t first, const uint8_t address[16])
{
	struct policy_set *set = walk->set;
	struct ac_span span = { .high = ac_address_half(address),
				.low = ac_address_half(address + 8),
				.chain = chain_around(walk) };
	struct ac_span *last = set->span_count > first ? &set->spans[set->span_count - 1] : NULL;

	if (last && last->high == span.high && last->low == span.low) {
		last->chain = span.chain;
		return;
	}
	set->spans = memory_room(set->spans, set->span_count, sizeof(*set->spans));
	set->spans[set->span_count++] = span;
}

/* The address after this one; false after the last of all. */
static bool next_address(uint8_t address[16])
{
	for (int i = 15; i >= 0; i--)
		if (++address[i])
			return true;
	return false;
}

/* Leaves the prefixes that end before `address`, all where it is NULL. */
static void leave(struct walk *walk, size_t first, const uint8_t *address)
{
	while (walk->count) {
		uint8_t *last = walk->covers[walk->count - 1].last;

		if (address && memcmp(last, address, sizeof(walk->covers[0].last)) >= 0)
			return;
		walk->count--;
		if (next_address(last))
			span_append(walk, first, last);
	}
}

static void enter(struct walk *walk, size_t first, const struct ac_rule *rule, uint32_t chain)
{
	struct cover *cover = &walk->covers[walk->count++];

	memcpy(cover->last, rule->peer, sizeof(cover->last));
	for (int bit = rule->peer_bits; bit < 128; bit++)
		cover->last[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
	cover->chain = chain;
	span_append(walk, first, rule->peer);
}

static bool same_prefix(const struct ac_rule *a, const struct ac_rule *b)
{
	return a->peer_bits == b->peer_bits && !memcmp(a->peer, b->peer, sizeof(a->peer));
}

void peers_build(struct policy_set *set, struct ranked *rules, size_t count)
{
	static const uint8_t lowest[16];
	struct walk walk = { .set = set };
	size_t first = set->span_count;

	qsort_r(rules, count, sizeof(*rules), by_prefix, set);
	span_append(&walk, first, lowest);
	for (size_t i = 0, next; i < count; i = next) {
		const struct ac_rule *rule = &set->rules[rules[i].rule];
		uint32_t chain = (uint32_t)set->chain_count, around;

		leave(&walk, first, rule->peer);
		around = chain_around(&walk);
		for (next = i; next < count && same_prefix(rule, &set->rules[rules[next].rule]); next++)
			chain_append(set, rules[next].rule);
		chain_append(set, around == AC_CHAIN_END ? AC_CHAIN_END : AC_CHAIN_ON | around);
		enter(&walk, first, rule, chain);
	}
	leave(&walk, first, NULL);
}
