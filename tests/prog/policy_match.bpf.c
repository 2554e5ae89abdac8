// SPDX-License-Identifier: GPL-2.0
/* The data path's look-up on flows that are given, and a pattern by itself. */
#include "match.bpf.h"

struct {
	struct ac_facts facts;
	__u64 cgroups[CGROUP_DEPTH];
	struct ac_control control;
	__u32 policy; /* the answer */
} flow;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct match);
} scratch SEC(".maps");

/* A kind of program that can be run many times in a row. */
SEC("tc")
int match_flow(struct __sk_buff *packet)
{
	__u32 zero = 0;
	struct match *m = bpf_map_lookup_elem(&scratch, &zero);

	if (!m)
		return 1;
	m->facts = flow.facts;
	__builtin_memcpy(m->cgroups, flow.cgroups, sizeof(m->cgroups));
	match_policy(m, &flow.control);
	flow.policy = m->policy;
	return !match_values(m);
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
