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

/* ------------------------------------------------------------------ whole sets, in the tables as the engine fills
 * them */

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
		tables.table[TABLE_LINKS] = map_table(bpf->maps.links);
		tables.table[TABLE_NAMES] = map_table(bpf->maps.names);
		tables.table[TABLE_GROUPS] = map_table(bpf->maps.groups);
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

/* Rules of one kind. The flow that number 3 decides has what this gives it. */
struct kind {
	const char *name;
	const char *condition; /* of rule i, with %1$d for i / 256, %2$d for i % 256, %3$d for 1 + i */
	const char *comm;
	const char *peer;
	bool in_cgroup;
	uint16_t port;
};

static const struct kind kinds[] = {
	{ "ports", "ports = %3$d", "nginx", "::ffff:10.0.3.9", false, 4 },
	{ "peers", "ports = 443\npeers = 10.%1$d.%2$d.0/24", "nginx", "::ffff:10.0.3.9", false, 443 },
	{ "programs", "programs = p%1$d-%2$d", "p0-3", "::ffff:10.0.3.9", false, 443 },
	{ "patterns", "programs = p%1$d-%2$d-*", "p0-3-x", "::ffff:10.0.3.9", false, 443 },
	{ "cgroups", "cgroups = /s%1$d/s%2$d", "nginx", "::ffff:10.0.3.9", true, 443 },
	{ "programs of cgroups", "programs = a, p%1$d-%2$d\ncgroups = /s%1$d/s%2$d", "p0-3", "::ffff:10.0.3.9", true,
	  443 },
};

static struct policy_set *set_of_kind(const struct kind *kind, int count)
{
	struct policy_set *set;
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	for (int i = 0; i < count; i++) {
		fprintf(out, "[policy p%d]\nmode = autocork\n", i);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-extra-args"
		fprintf(out, kind->condition, i / 256, i % 256, 1 + i);
#pragma GCC diagnostic pop
		fputc('\n', out);
	}
	fprintf(out, "[policy rest]\nmode = observe\n");
	fclose(out);
	set = fixture_set(text);
	free(text);
	for (size_t i = 0; i < set->cgroup_count; i++)
		set->cgroups[i].id = 1000 + i;
	return set;
}

struct cost {
	uint32_t hit, miss; /* ns */
};

static uint32_t shorter(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* What a look-up costs that one of `count` rules decides, and one that none does; the shorter of it and what is
 * there. */
static void cost_of(const struct kind *kind, int count, struct cost *cost)
{
	struct random_flow flow = { .facts = { .port = kind->port, .side = AC_SIDE_SERVER } };
	struct policy_set *set = set_of_kind(kind, count);

	apply(set);
	strcpy(flow.facts.comm, kind->comm);
	assert_int_equal(inet_pton(AF_INET6, kind->peer, flow.facts.peer), 1);
	flow.cgroups[0] = 1;
	flow.cgroups[1] = 2;
	flow.cgroups[2] = kind->in_cgroup ? 1000 + 3 : 3;
	look_up(&flow, 1);
	cost->hit = shorter(cost->hit, look_up(&flow, 20000));
	assert_string_equal(set->origins[bpf->bss->flow.policy].name, "p3");
	flow.facts.port = 60000;
	strcpy(flow.facts.comm, "other");
	assert_int_equal(inet_pton(AF_INET6, "::ffff:11.0.0.1", flow.facts.peer), 1);
	flow.cgroups[2] = 3;
	look_up(&flow, 1);
	cost->miss = shorter(cost->miss, look_up(&flow, 20000));
	assert_string_equal(set->origins[bpf->bss->flow.policy].name, "rest");
	policy_set_free(set);
}

static void test_cost_of_each_kind(void **state)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct cost few = { UINT32_MAX, UINT32_MAX }, many = few;

		for (int round = 0; round < 5; round++) {
			cost_of(&kinds[i], 10, &few);
			cost_of(&kinds[i], 10000, &many);
		}
		print_message("# %s: 10 rules: %u ns, none decides %u ns; 10,000: %u ns (x%.2f), %u ns (x%.2f)\n",
			      kinds[i].name, few.hit, few.miss, many.hit, many.hit / (double)few.hit, many.miss,
			      many.miss / (double)few.miss);
		/* A walk through all would take a thousand times as long, 250,000 ns. */
		assert_true(many.hit < 2 * few.hit + 200 && many.miss < 2 * few.miss + 200);
	}
}

/* The answer of a long list of patterns is kept: it is each program's own, each side's, and that of the policies in
 * force. */
static void test_kept_answers(void **state)
{
	static const char *const sides[] = { "server", "client" };
	static const char *const comms[] = { "x7b", "yes", "xz", "zz", "" };

	for (int reload = 0; reload < 3; reload++) {
		struct random_flow flow = { .facts = { .port = 80 } };
		struct policy_set *set;
		char *text;
		size_t size;
		FILE *out = open_memstream(&text, &size);

		for (int i = 0; i < 20; i++)
			fprintf(out, "[policy x%d]\nmode = off\nprograms = x%d*\n", i, i);
		/* The place of the list stays the same from reload to reload; what it says does not. */
		fprintf(out, "[policy server]\nmode = off\nside = %s\nprograms = y*\n", sides[reload > 1]);
		fprintf(out, "[policy y]\nmode = off\nprograms = ?*\n");
		if (reload == 2)
			fprintf(out, "[policy z]\nmode = off\nprograms = x*\n");
		fclose(out);
		set = fixture_set(text);
		apply(set);
		for (int again = 0; again < 3; again++) {
			for (int side = AC_SIDE_SERVER; side <= AC_SIDE_CLIENT; side++) {
				for (size_t i = 0; i < sizeof(comms) / sizeof(comms[0]); i++) {
					int64_t rule;

					memset(flow.facts.comm, 0, sizeof(flow.facts.comm));
					strcpy(flow.facts.comm, comms[i]);
					flow.facts.side = (uint8_t)side;
					rule = policy_match(set, &flow.facts, NULL, NULL);
					look_up(&flow, 1);
					assert_int_equal(bpf->bss->flow.policy,
							 rule < 0 ? AC_POLICY_DEFAULT : set->rules[rule].policy);
				}
			}
		}
		policy_set_free(set);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_globs),
		cmocka_unit_test(test_random_sets),
		cmocka_unit_test(test_kept_answers),
		cmocka_unit_test(test_cost_of_each_kind),
	};

	return cmocka_run_group_tests_name("policy_match (BPF)", tests, load, unload);
}
