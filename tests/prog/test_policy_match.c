/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The look-up compiled for BPF: the verifier takes it, and it says what the C reference says. */
#include <autocork/policy_match.h>

#include <bpf/bpf.h>
#include <sys/mman.h>

#include "engine/tables.h"
#include "tests/prog/policy_match.skel.h"
#include "repeats.h"
#include "../unit/policy/fixture.h"
#include "../unit/policy/random.h"

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
	unsigned int count = repeats(20000), matched = 0;

	srandom(30);
	for (unsigned int i = 0; i < count; i++) {
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
	assert_true(matched > count / 40);
}

/* ------------------------------------------------------------------ whole sets, in the tables as the engine fills them */

static struct tables tables;
static struct ac_control control;

static void *map_table(const struct bpf_map *map)
{
	size_t size = (bpf_map__value_size(map) + 7) / 8 * 8 * bpf_map__max_entries(map);
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);

	assert_ptr_not_equal(memory, MAP_FAILED);
	return memory;
}

static void apply(const struct policy_set *set)
{
	if (!tables.control) {
		tables.control = &control;
		tables.table[TABLE_PORTS] = map_table(bpf->maps.ports);
		tables.table[TABLE_SPANS] = map_table(bpf->maps.spans);
		tables.table[TABLE_CHAIN] = map_table(bpf->maps.chain);
		tables.table[TABLE_RULES] = map_table(bpf->maps.rules);
		tables.table[TABLE_POLICIES] = map_table(bpf->maps.policies);
	}
	engine_tables_apply(&tables, set);
	bpf->bss->flow.control = control;
}

/* Looks the flow up `times` in a row; how long one took, in ns. */
static uint32_t look_up(const struct random_flow *flow, int times)
{
	char packet[64] = "";
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet, .data_size_in = sizeof(packet), .repeat = times);

	bpf->bss->flow.facts = flow->facts;
	memcpy(bpf->bss->flow.cgroups, flow->cgroups, sizeof(flow->cgroups));
	bpf->bss->flow.policy = UINT32_MAX;
	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(bpf->progs.match_flow), &options), 0);
	assert_int_equal(options.retval, 0);
	return options.duration;
}

static void test_random_sets(void **state)
{
	unsigned int rounds = repeats(200), decided = 0, by_peer = 0;

	srandom(31);
	for (unsigned int round = 0; round < rounds; round++) {
		char *text = random_policies(round % 4 ? 25 : 150);
		struct policy_set *set = fixture_set(text);

		random_resolve(set);
		apply(set);
		for (int i = 0; i < 500; i++) {
			struct random_flow flow;
			uint32_t expected;
			int64_t rule;

			random_flow(set, &flow);
			rule = policy_match(set, &flow.facts, random_in_cgroup, &flow);
			expected = rule < 0 ? AC_POLICY_DEFAULT : set->rules[rule].policy;
			look_up(&flow, 1);
			if (bpf->bss->flow.policy != expected)
				fail_msg("%u instead of %u in\n%s", bpf->bss->flow.policy, expected, text);
			decided += expected != AC_POLICY_DEFAULT;
			by_peer += rule >= 0 && set->rules[rule].peer_bits;
		}
		policy_set_free(set);
		free(text);
	}
	assert_true(decided > rounds * 250 && by_peer > rounds * 100);
}

/* ------------------------------------------------------------------ what a look-up costs */

/* What one costs on a port with `count` networks, in all of which the last one's rule is the last, in ns. */
static uint32_t cost_of_peers(int count)
{
	struct random_flow flow = { .facts = { .port = 443, .side = AC_SIDE_SERVER, .comm = "nginx" } };
	struct policy_set *set;
	uint32_t ns;
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	for (int i = 0; i < count; i++)
		fprintf(out, "[policy p%d]\nports = 443\npeers = 10.%d.%d.0/24\nmode = autocork\n", i, i / 256, i % 256);
	fprintf(out, "[policy rest]\nports = 443\nmode = observe\n");
	fclose(out);
	set = fixture_set(text);
	apply(set);
	assert_int_equal(inet_pton(AF_INET6, "::ffff:10.0.3.9", flow.facts.peer), 1);
	ns = look_up(&flow, 20000);
	assert_string_equal(set->origins[bpf->bss->flow.policy].name, "p3");
	assert_int_equal(inet_pton(AF_INET6, "::ffff:11.0.0.1", flow.facts.peer), 1);
	look_up(&flow, 1);
	assert_string_equal(set->origins[bpf->bss->flow.policy].name, "rest");
	policy_set_free(set);
	free(text);
	return ns;
}

static void test_cost_of_peers(void **state)
{
	uint32_t few = cost_of_peers(10), many = cost_of_peers(10000);

	print_message("# a look-up on a port with 10 networks: %u ns, with 10,000: %u ns\n", few, many);
	/* A walk through all would take a thousand times as long, 200,000 ns. */
	assert_true(many < 20 * few + 2000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_globs),
		cmocka_unit_test(test_random_sets),
		cmocka_unit_test(test_cost_of_peers),
	};

	return cmocka_run_group_tests_name("policy_match (BPF)", tests, load, unload);
}
