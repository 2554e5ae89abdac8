// SPDX-License-Identifier: GPL-2.0
/* An XDP program that does nothing: somebody else's program in the tests, and what steering is measured against. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("xdp")
int somebody_elses_program(struct xdp_md *context)
{
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
