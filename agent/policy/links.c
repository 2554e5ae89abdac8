/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * A chain's rules, put into slots by control group and program. The order of the rules within a slot is that of the
 * chain, so that the one order of precedence (rank.c) holds; which slot comes first is what ranks first there: the
 * deeper control group, then a name above a pattern above any program.
 */
#include "policy/links.h"

#include <stdlib.h>
#include <string.h>

#include <autocork/policy_match.h>

#include "lib/memory.h"
#include "policy/rank.h"

/* A rule of the chain that is put together. */
struct entry {
	uint32_t key;
	uint32_t order; /* in the chain */
	uint32_t rule;
};

struct builder {
	struct policy_set *set;
	uint32_t *names;       /* per rule: its program's number */
	struct entry *entries; /* of one chain */
};

/* The program's place in names[]; it gets one if it has none. */
static uint32_t name_number(struct policy_set *set, const char program[AC_COMM_LEN])
{
	uint64_t half[2];
	uint32_t place;

	if (!program[0])
		return AC_NAME_ANY;
	if (program_is_pattern(program))
		return AC_NAME_PATTERN;
	memcpy(half, program, sizeof(half));
	for (place = ac_name_place(half[0], half[1]); set->names[place].name[0]; place = ac_name_next(place))
		if (!memcmp(set->names[place].name, program, AC_COMM_LEN))
			return place;
	memcpy(set->names[place].name, program, AC_COMM_LEN);
	return place;
}

static int by_key(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return x->key != y->key ? (x->key > y->key) - (x->key < y->key) : (x->order > y->order) - (x->order < y->order);
}

static bool same_slot(const struct entry *a, const struct entry *b)
{
	return a->key == b->key;
}

/* Of rules for the same programs, those behind one for the same side, or for any, are never reached: returns how many
 * are left. */
static size_t drop_hidden(const struct policy_set *set, struct entry *entries, size_t count)
{
	bool hidden[AC_SIDE_MAX] = { false };
	size_t kept = 0;

	if ((entries->key & 0xffff) == AC_NAME_PATTERN)
		return count;
	for (size_t i = 0; i < count && !hidden[AC_SIDE_ANY]; i++) {
		uint8_t side = set->rules[entries[i].rule].side;

		if (hidden[side])
			continue;
		hidden[side] = true;
		entries[kept++] = entries[i];
	}
	return kept;
}

static uint32_t append(struct policy_set *set, uint32_t key, uint32_t at)
{
	set->links = memory_room(set->links, set->link_count, sizeof(*set->links));
	set->links[set->link_count] = (struct ac_link){ key, at };
	return (uint32_t)set->link_count++;
}

/* What a slot of these rules says. */
static uint32_t put_rules(struct policy_set *set, const struct entry *entries, size_t count)
{
	uint32_t list = (uint32_t)set->link_count;

	if (count == 1 && (entries->key & 0xffff) != AC_NAME_PATTERN)
		return entries->rule;
	for (size_t i = 0; i < count; i++)
		append(set, i ? 0 : (uint32_t)count, entries[i].rule);
	return AC_LINK_LIST | list;
}

static uint32_t flags_of(uint32_t key)
{
	uint32_t name = key & 0xffff;

	return (key >> 16 ? AC_LINK_GROUPS : 0) | (name == AC_NAME_PATTERN ? AC_LINK_PATTERNS :
						   name == AC_NAME_ANY	   ? 0 :
									     AC_LINK_NAMES);
}

static size_t count_slots(const struct entry *entries, size_t count)
{
	size_t slots = 0;

	for (size_t i = 0; i < count; i++)
		slots += !i || !same_slot(&entries[i], &entries[i - 1]);
	return slots;
}

/* Half of the slots stay free, so that a search is short. */
static uint32_t build_chain(struct builder *b, const uint32_t *rules, size_t count, uint32_t on)
{
	struct policy_set *set = b->set;
	struct entry *entries = b->entries;
	uint32_t first, slots, flags = 0;

	for (size_t i = 0; i < count; i++)
		entries[i] = (struct entry){ ac_link_key(set->rule_cgroups[rules[i]], b->names[rules[i]]), (uint32_t)i,
					     rules[i] };
	qsort(entries, count, sizeof(*entries), by_key);
	slots = 2 * (uint32_t)count_slots(entries, count);
	first = append(set, slots, on);
	for (uint32_t i = 0; i < slots; i++)
		append(set, 0, AC_CHAIN_END);
	for (size_t i = 0, next; i < count; i = next) {
		uint32_t key = entries[i].key, slot = ac_link_slot(key, slots), at;

		for (next = i; next < count && same_slot(&entries[i], &entries[next]); next++)
			;
		flags |= flags_of(key);
		at = put_rules(set, &entries[i], drop_hidden(set, &entries[i], next - i));
		while (set->links[first + 1 + slot].at != AC_CHAIN_END)
			slot = slot + 1 < slots ? slot + 1 : 0;
		set->links[first + 1 + slot] = (struct ac_link){ key, at };
	}
	set->links[first].key |= flags;
	return first;
}

void links_build(struct policy_set *set)
{
	struct builder b = { .set = set };
	uint32_t *built = memory_zeroed(set->chain_count, sizeof(*built));

	set->names = memory_zeroed(AC_NAMES, sizeof(*set->names));
	b.names = memory_zeroed(set->rule_count, sizeof(*b.names));
	b.entries = memory_zeroed(set->rule_count, sizeof(*b.entries));
	for (size_t rule = 0; rule < set->rule_count; rule++)
		b.names[rule] = name_number(set, set->rules[rule].program);
	for (size_t start = 0, end; start < set->chain_count; start = end + 1) {
		uint32_t link;

		for (end = start; !(set->chain[end] & AC_CHAIN_ON); end++) /* AC_CHAIN_END has that bit too */
			;
		link = set->chain[end];
		/* A chain goes on with an earlier one. */
		built[start] = build_chain(&b, &set->chain[start], end - start,
					   link == AC_CHAIN_END ? AC_CHAIN_END : built[link & ~AC_CHAIN_ON]);
	}
	for (size_t port = 0; port < AC_PORTS; port++)
		set->ports[port].links = built[set->ports[port].chain];
	for (size_t i = 0; i < set->span_count; i++)
		set->spans[i].links = set->spans[i].chain == AC_CHAIN_END ? AC_CHAIN_END : built[set->spans[i].chain];
	free(b.entries);
	free(b.names);
	free(built);
}

void links_groups(const struct policy_set *set, struct ac_group *groups)
{
	memset(groups, 0, AC_GROUPS * sizeof(*groups));
	for (size_t i = 0; i < set->cgroup_count; i++) {
		uint32_t place;

		if (set->cgroups[i].id == AC_CGROUP_UNRESOLVED)
			continue;
		for (place = ac_group_place(set->cgroups[i].id); groups[place].id; place = ac_group_next(place))
			;
		groups[place] = (struct ac_group){ set->cgroups[i].id, i + 1 };
	}
}
