/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The matcher compiled for BPF: the verifier takes it, and it says what the same source says natively. */
#include <autocork/policy_match.h>

#include <bpf/bpf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/prog/policy_match.skel.h"

#define RULES 1024
#define NO_RULE RULES

static struct policy_match_bpf *bpf;

static int load(void **state)
{
	bpf = policy_match_bpf__open_and_load();
	return bpf ? 0 : -1;
}

static int unload(void **state)
{
	policy_match_bpf__destroy(bpf);
	return 0;
}

/* Runs a program on a context and returns what it returned. */
static uint32_t run(const struct bpf_program *program, void *context, size_t size)
{
	LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = context, .ctx_size_in = size);

	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(program), &options), 0);
	return options.retval;
}

static void test_globs(void **state)
{
	static const char pattern_bytes[] = "ab*?[]!-c", text_bytes[] = "abc-]";
	size_t matched = 0;

	srandom(30);
	for (int i = 0; i < 20000; i++) {
		struct {
			char pattern[AC_COMM_LEN], text[AC_COMM_LEN];
		} glob = { 0 };
		bool natively;

		for (long k = random() % 10; k; k--)
			glob.pattern[k - 1] = pattern_bytes[random() % (long)(sizeof(pattern_bytes) - 1)];
		for (long k = random() % 7; k; k--)
			glob.text[k - 1] = text_bytes[random() % (long)(sizeof(text_bytes) - 1)];
		natively = ac_glob_match(glob.pattern, glob.text);
		if (run(bpf->progs.match_glob, &glob, sizeof(glob)) != natively)
			fail_msg("%.16s against %.16s: natively %d", glob.pattern, glob.text, natively);
		matched += natively;
	}
	assert_true(matched > 500);
}

static void fill_peer(__u8 peer[16])
{
	for (int i = 0; i < 16; i++)
		peer[i] = (__u8)(random() % 4 ? 0 : 1 << random() % 8);
}

static void test_rules(void **state)
{
	static const char *const programs[] = { "", "*", "a*", "[!a]*", "redis", "?edis", "fifteen-letters" };
	static const char *const comms[] = { "", "a", "b", "redis", "fifteen-letters" };
	int map = bpf_map__fd(bpf->maps.rules);
	struct ac_rule rules[RULES] = { 0 };
	size_t found = 0;

	srandom(31);
	for (uint32_t i = 0; i < RULES; i++) {
		struct ac_rule *rule = &rules[i];

		/* Half of the rules match next to nothing, so that walks end everywhere. */
		rule->side = (__u8)(random() % AC_SIDE_MAX);
		rule->peer_bits = (__u8)(random() % 2 ? 128 : 8 + random() % 121);
		fill_peer(rule->peer);
		strcpy(rule->program, programs[random() % 7]);
		assert_int_equal(bpf_map_update_elem(map, &i, rule, BPF_ANY), 0);
	}
	for (int i = 0; i < 2000; i++) {
		struct ac_facts facts = { .side = (__u8)(1 + random() % 2) };
		uint32_t natively = 0;

		fill_peer(facts.peer);
		strcpy(facts.comm, comms[random() % 5]);
		while (natively < RULES && !ac_rule_matches(&rules[natively], &facts))
			natively++;
		assert_int_equal(run(bpf->progs.match_rules, &facts, sizeof(facts)), natively);
		found += natively != NO_RULE && natively > 0;
	}
	assert_true(found > 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_globs),
		cmocka_unit_test(test_rules),
	};

	return cmocka_run_group_tests_name("policy_match (BPF)", tests, load, unload);
}
