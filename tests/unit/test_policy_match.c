/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The matcher that the data path shares: patterns against fnmatch(3), networks bit by bit, rules condition by
 * condition.
 */
#include <autocork/policy_match.h>

#include <arpa/inet.h>
#include <fnmatch.h>

#include "policy/fixture.h"

static void test_glob_table(void **state)
{
	static const struct {
		const char *pattern, *text;
		bool matches;
	} cases[] = {
		{ "", "", true },
		{ "", "a", false },
		{ "a", "", false },
		{ "nginx", "nginx", true },
		{ "nginx", "nginx2", false },
		{ "nginx", "ngin", false },
		{ "nginx*", "nginx: worker", true },
		{ "*", "", true },
		{ "*", "fifteen-letters", true },
		{ "**a**", "bab", true },
		{ "*a*b*c*", "xxaxbxxc", true },
		{ "*a*b*c*", "xxaxcxxb", false },
		{ "?", "", false },
		{ "???", "abc", true },
		{ "???", "ab", false },
		{ "fifteen-letters", "fifteen-letters", true },
		{ "fifteen-letter?", "fifteen-letters", true },
		{ "*************rs", "fifteen-letters", true },
		{ "[abc]x", "bx", true },
		{ "[abc]x", "dx", false },
		{ "[a-c]x", "bx", true },
		{ "[!a-c]x", "dx", true },
		{ "[!a-c]x", "bx", false },
		{ "[!a]", "", false },
		{ "[]]", "]", true },
		{ "[!]]", "]", false },
		{ "[!]]", "a", true },
		{ "[a-]", "-", true },
		{ "[-a]", "-", true },
		{ "[!!]", "!", false },
		{ "[*?[]", "[", true },
		{ "[*]x", "ax", false },
		{ "a]", "a]", true },
		{ "[ab", "[ab", false },
		{ "[a-", "a", false },
		{ "python3.[0-9]*", "python3.11", true },
		{ "*[0-9][0-9]", "kworker/u4", false },
		{ "caf\xc3\xa9", "caf\xc3\xa9", true },
		{ "caf[\xc3-\xc4]?", "caf\xc3\xa9", true },
	};

	for (size_t i = 0; i < AC_ARRAY_SIZE(cases); i++) {
		char pattern[AC_COMM_LEN] = "", text[AC_COMM_LEN] = "";

		memcpy(pattern, cases[i].pattern, strlen(cases[i].pattern));
		memcpy(text, cases[i].text, strlen(cases[i].text));
		if (ac_glob_match(pattern, text) != cases[i].matches)
			fail_msg("%s against %s: not %d", cases[i].pattern, cases[i].text, cases[i].matches);
	}
}

/* Patterns that the parser refuses (an open [, a range that ends before it starts) mean something else to fnmatch(3).
 */
static bool well_formed(const char *pattern)
{
	for (const char *at = pattern; *at; at++) {
		if (*at != '[')
			continue;
		at += at[1] == '!' ? 2 : 1;
		for (bool first = true; *at != ']' || first; at++, first = false) {
			if (!*at || *at == '[' || (*at == '-' && !first))
				return false;
		}
	}
	return true;
}

static void test_glob_against_fnmatch(void **state)
{
	static const char pattern_bytes[] = "ab*?[]!-c", text_bytes[] = "abc-]";
	size_t compared = 0, matched = 0;

	srandom(20);
	for (int i = 0; i < 400000; i++) {
		char pattern[AC_COMM_LEN] = "", text[AC_COMM_LEN] = "";
		bool expected;

		for (long k = random() % 10; k; k--)
			pattern[k - 1] = pattern_bytes[random() % (long)(sizeof(pattern_bytes) - 1)];
		for (long k = random() % 7; k; k--)
			text[k - 1] = text_bytes[random() % (long)(sizeof(text_bytes) - 1)];
		if (!well_formed(pattern))
			continue;
		expected = !fnmatch(pattern, text, FNM_NOESCAPE);
		if (ac_glob_match(pattern, text) != expected)
			fail_msg("%s against %s: fnmatch says %d", pattern, text, expected);
		compared++;
		matched += expected;
	}
	assert_true(compared > 100000 && matched > 10000);
}

static void test_peers(void **state)
{
	static const struct {
		const char *network;
		uint8_t bits;
		const char *address;
		bool matches;
	} cases[] = {
		{ "::ffff:10.0.0.0", 104, "::ffff:10.255.255.255", true },
		{ "::ffff:10.0.0.0", 104, "::ffff:11.0.0.0", false },
		{ "::ffff:10.0.0.0", 104, "::10.0.0.0", false },
		{ "::ffff:10.0.0.0", 105, "::ffff:10.128.0.0", false },
		{ "::ffff:0.0.0.0", 96, "::ffff:1.2.3.4", true },
		{ "::ffff:0.0.0.0", 96, "2001:db8::1", false },
		{ "::1", 128, "::1", true },
		{ "::1", 128, "::2", false },
		{ "::1", 127, "::", true },
		{ "fd00::", 8, "fdff:ffff::1", true },
		{ "fd00::", 8, "fc00::", false },
		{ "8000::", 1, "ffff::", true },
		{ "8000::", 1, "7fff::", false },
		{ "2001:db8::", 64, "2001:db8::ffff:ffff:ffff:ffff", true },
		{ "2001:db8::", 64, "2001:db8:0:1::", false },
		{ "2001:db8::", 65, "2001:db8::8000:0:0:0", false },
		{ "2001:db8::", 0, "::", true },
	};

	for (size_t i = 0; i < AC_ARRAY_SIZE(cases); i++) {
		uint8_t network[16], address[16];

		inet_pton(AF_INET6, cases[i].network, network);
		inet_pton(AF_INET6, cases[i].address, address);
		if (ac_peer_matches(network, cases[i].bits, address) != cases[i].matches)
			fail_msg("%s in %s/%u: not %d", cases[i].address, cases[i].network, cases[i].bits,
				 cases[i].matches);
	}
}

/* Against a comparison bit by bit, for every prefix length. */
static void test_peers_every_length(void **state)
{
	srandom(21);
	for (int i = 0; i < 20000; i++) {
		uint8_t network[16], address[16], bits = (uint8_t)(random() % 129);
		bool expected = true;

		for (int k = 0; k < 16; k++)
			network[k] = address[k] = (uint8_t)random();
		address[random() % 16] ^= (uint8_t)(1 << random() % 8);
		for (int k = 0; k < bits; k++)
			expected &= !((network[k / 8] ^ address[k / 8]) & 0x80 >> k % 8);
		assert_int_equal(ac_peer_matches(network, bits, address), expected);
	}
}

static void test_rule(void **state)
{
	const struct ac_facts facts = { .port = 80, .side = AC_SIDE_SERVER, .peer = { [15] = 1 }, .comm = "nginx" };
	struct ac_rule rule = { 0 };

	assert_true(ac_rule_matches(&rule, &facts));
	rule.side = AC_SIDE_SERVER;
	assert_true(ac_rule_matches(&rule, &facts));
	rule.side = AC_SIDE_CLIENT;
	assert_false(ac_rule_matches(&rule, &facts));
	rule.side = AC_SIDE_ANY;
	rule.peer_bits = 128;
	assert_false(ac_rule_matches(&rule, &facts));
	rule.peer[15] = 1;
	assert_true(ac_rule_matches(&rule, &facts));
	strcpy(rule.program, "ngin?");
	assert_true(ac_rule_matches(&rule, &facts));
	strcpy(rule.program, "redis");
	assert_false(ac_rule_matches(&rule, &facts));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_glob_table), cmocka_unit_test(test_glob_against_fnmatch),
		cmocka_unit_test(test_peers),	   cmocka_unit_test(test_peers_every_length),
		cmocka_unit_test(test_rule),
	};

	return cmocka_run_group_tests_name("policy_match", tests, NULL, NULL);
}
