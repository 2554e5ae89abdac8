// SPDX-License-Identifier: GPL-2.0
/* The matcher as the data path uses it: a walk over rules in a map, in a bpf_loop() callback, and a pattern by itself.
 */
#include <autocork/policy_match.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct ac_rule);
} rules SEC(".maps");

struct walk {
	struct ac_facts facts;
	__u32 found;
};

static long try_rule(__u32 index, void *context)
{
	struct walk *walk = context;
	struct ac_rule *rule = bpf_map_lookup_elem(&rules, &index);

	if (!rule || !ac_rule_matches(rule, &walk->facts))
		return 0;
	walk->found = index;
	return 1;
}

/* Number of the first rule that matches the facts, which are the context; 1024 if none does. */
SEC("syscall")
int match_rules(struct ac_facts *facts)
{
	struct walk walk = { .found = 1024 };

	walk.facts = *facts;
	bpf_loop(1024, try_rule, &walk, 0);
	return walk.found;
}

struct glob {
	char pattern[AC_COMM_LEN];
	char text[AC_COMM_LEN];
};

SEC("syscall")
int match_glob(struct glob *context)
{
	struct glob glob = *context;

	return ac_glob_match(glob.pattern, glob.text);
}

char _license[] SEC("license") = "GPL";
