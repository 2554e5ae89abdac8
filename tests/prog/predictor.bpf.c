// SPDX-License-Identifier: GPL-2.0
/* The predictor as the gate has it: its state is a map's value. */
#include "../tests/prog/predictor_step.h"

struct memory {
	struct ac_predictor predictor;
	struct ac_prior prior;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct memory);
} memories SEC(".maps");

SEC("syscall")
int take_step(struct step *step)
{
	struct memory *memory;
	__u32 key = 0;

	memory = bpf_map_lookup_elem(&memories, &key);
	if (!memory)
		return 1;
	step_run(step, &memory->predictor, &memory->prior);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
