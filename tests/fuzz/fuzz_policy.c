/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * libFuzzer target: any bytes as policy files. What is refused must say why; what is accepted must give tables that the
 * data path can walk, and must be shown in a form that is accepted again.
 */
#include <stdlib.h>
#include <string.h>

#include "policy/sections.h"

#define REQUIRE(condition) \
	do { \
		if (!(condition)) \
			abort(); \
	} while (0)

static struct policy_set *load(const char *const *texts, const size_t *lengths, size_t count,
			       struct policy_errors *errors)
{
	struct sections sections = { 0 };
	struct policy_set *set = NULL;

	for (size_t i = 0; i < count; i++)
		sections_read(&sections, i ? "second" : "first", texts[i], lengths[i], errors);
	sections_check(&sections, errors);
	if (!errors->count)
		set = policy_compile(&sections, errors);
	REQUIRE(!set == !!errors->count);
	sections_free(&sections);
	return set;
}

static void check_list(const struct policy_set *set, size_t list)
{
	REQUIRE(list < set->link_count && set->links[list].key && set->links[list].key <= set->link_count - list);
	for (size_t i = list; i < list + set->links[list].key; i++)
		REQUIRE(set->links[i].at < set->rule_count);
}

static void check_chain(const struct policy_set *set, size_t first)
{
	const struct ac_link *chain = &set->links[first];
	size_t slots = chain->key & AC_LINK_SLOTS, free_slots = 0;

	REQUIRE(first < set->link_count && slots < set->link_count - first);
	REQUIRE(chain->at == AC_CHAIN_END || chain->at < first);
	for (size_t i = 1; i <= slots; i++) {
		if (chain[i].at == AC_CHAIN_END)
			free_slots++;
		else if (chain[i].at & AC_LINK_LIST)
			check_list(set, chain[i].at & ~AC_LINK_LIST);
		else
			REQUIRE(chain[i].at < set->rule_count);
	}
	REQUIRE(!slots || free_slots == slots / 2);
}

static void check_links(const struct policy_set *set)
{
	REQUIRE(set->link_count <= AC_LINKS_MAX);
	for (size_t i = 0; i < AC_PORTS; i++)
		if (!i || set->ports[i].links != set->ports[i - 1].links)
			check_chain(set, set->ports[i].links);
	for (size_t i = 0; i < set->span_count; i++)
		if (set->spans[i].links != AC_CHAIN_END)
			check_chain(set, set->spans[i].links);
}

static void check_tables(const struct policy_set *set)
{
	REQUIRE(set->policy_count && set->policy_count <= AC_POLICIES_MAX && set->rule_count <= AC_RULES_MAX);
	REQUIRE(set->chain_count && set->chain_count <= AC_CHAIN_MAX && set->span_count <= AC_SPANS_MAX);
	REQUIRE(set->chain[set->chain_count - 1] == AC_CHAIN_END);
	for (size_t i = 0; i < AC_PORTS; i++)
		REQUIRE(set->ports[i].chain < set->chain_count &&
			set->ports[i].spans + set->ports[i].span_count <= set->span_count);
	for (size_t i = 0; i < set->chain_count; i++)
		REQUIRE(set->chain[i] < set->rule_count || set->chain[i] == AC_CHAIN_END ||
			(set->chain[i] & AC_CHAIN_ON && (set->chain[i] & ~AC_CHAIN_ON) < i));
	for (size_t i = 0; i < set->span_count; i++)
		REQUIRE(set->spans[i].chain < set->chain_count || set->spans[i].chain == AC_CHAIN_END);
	check_links(set);
	for (size_t i = 0; i < set->rule_count; i++)
		REQUIRE(set->rules[i].policy < set->policy_count && set->rules[i].peer_bits <= 128);
	for (size_t i = 0; i < set->policy_count; i++) {
		const struct ac_policy *policy = &set->policies[i];

		REQUIRE(policy->mode < AC_MODE_MAX && policy->need_max >= 2 && policy->need_max <= 255);
		REQUIRE(policy->max_hold_us >= 100 && policy->max_hold_us <= 100000);
		REQUIRE(policy->packet_worth_us >= 5 && policy->packet_worth_us <= 10000);
		REQUIRE(policy->burst_gap_us >= 10 && policy->burst_gap_us <= 1000000);
		REQUIRE(!policy->rto_min_us || (policy->rto_min_us >= 5000 && policy->rto_min_us <= 200000));
	}
}

/* The policies as a file again. */
static char *write_out(const struct policy_set *set, size_t *length)
{
	const struct policy_section_kind *kind = policy_section_kind(POLICY_SECTION_POLICY);
	char *text = NULL;
	FILE *out = open_memstream(&text, length);

	for (size_t i = 1; i < set->policy_count; i++) {
		fprintf(out, "[policy %s]\n", set->origins[i].name);
		for (size_t k = 0; k < kind->key_count; k++) {
			char *value = policy_key_text(&kind->keys[k], &set->origins[i].config);

			if (set->origins[i].places[k].file)
				fprintf(out, "%s = %s\n", kind->keys[k].name, value);
			free(value);
		}
	}
	fclose(out);
	return text;
}

static void check_again(const struct policy_set *set)
{
	struct policy_errors errors = { 0 };
	size_t length;
	char *text = write_out(set, &length);
	struct policy_set *again = load((const char *const *)&text, &length, 1, &errors);

	REQUIRE(again && again->rule_count == set->rule_count && again->chain_count == set->chain_count &&
		again->span_count == set->span_count);
	for (size_t i = 0; i < set->rule_count; i++)
		REQUIRE(!memcmp(&again->rules[i], &set->rules[i], sizeof(set->rules[i])));
	policy_set_free(again);
	policy_errors_free(&errors);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* A form feed starts a second file, as drop-ins do. */
	const char *cut = memchr(data, '\f', size);
	const char *texts[] = { (const char *)data, cut ? cut + 1 : NULL };
	size_t lengths[] = { cut ? (size_t)(cut - texts[0]) : size, cut ? size - (size_t)(cut + 1 - texts[0]) : 0 };
	struct policy_errors errors = { 0 };
	struct policy_set *set = load(texts, lengths, cut ? 2 : 1, &errors);

	for (size_t i = 0; i < errors.count; i++)
		REQUIRE(*errors.list[i].what && (errors.list[i].line > 0 || strstr(errors.list[i].what, "too many")));
	if (set) {
		struct ac_facts facts = { .port = (uint16_t)(size * 977), .side = 1 + size % 2 };
		json_t *shown = policy_show_json(set);

		REQUIRE(shown);
		json_decref(shown);
		memcpy(facts.comm, data, size < AC_COMM_LEN ? size : AC_COMM_LEN - 1);
		REQUIRE(policy_match(set, &facts, NULL, NULL) < (int64_t)set->rule_count);
		check_tables(set);
		check_again(set);
	}
	policy_set_free(set);
	policy_errors_free(&errors);
	return 0;
}
