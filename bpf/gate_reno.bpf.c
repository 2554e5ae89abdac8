/* SPDX-License-Identifier: GPL-2.0 */
/* The wrapper around Reno. */
#include "gate.bpf.h"

extern __u32 tcp_reno_ssthresh(struct sock *sk) __ksym;
extern void tcp_reno_cong_avoid(struct sock *sk, __u32 ack, __u32 acked) __ksym;
extern __u32 tcp_reno_undo_cwnd(struct sock *sk) __ksym;

SEC("struct_ops/reno_release")
void BPF_PROG(reno_release, struct sock *sk)
{
	gate_leave(sk);
}

SEC("struct_ops/reno_min_tso_segs")
__u32 BPF_PROG(reno_min_tso_segs, struct sock *sk)
{
	gate_pass(sk, true);
	return default_min_tso_segs(sk);
}

SEC("struct_ops/reno_ssthresh")
__u32 BPF_PROG(reno_ssthresh, struct sock *sk)
{
	gate_before_ssthresh(sk);
	return tcp_reno_ssthresh(sk);
}

SEC("struct_ops/reno_cong_avoid")
void BPF_PROG(reno_cong_avoid, struct sock *sk, __u32 ack, __u32 acked)
{
	if (gate_may_grow(sk))
		tcp_reno_cong_avoid(sk, ack, acked);
}

/* Reno has none; here it puts the window back before recovery is considered. */
SEC("struct_ops/reno_pkts_acked")
void BPF_PROG(reno_pkts_acked, struct sock *sk, const struct ack_sample *sample)
{
	gate_clear(sk);
}

SEC("struct_ops/reno_undo_cwnd")
__u32 BPF_PROG(reno_undo_cwnd, struct sock *sk)
{
	gate_clear(sk);
	return gate_undo(sk, tcp_reno_undo_cwnd(sk));
}

SEC(".struct_ops")
struct tcp_congestion_ops autocork_reno = {
	.release = (void *)reno_release,
	.min_tso_segs = (void *)reno_min_tso_segs,
	.ssthresh = (void *)reno_ssthresh,
	.cong_avoid = (void *)reno_cong_avoid,
	.pkts_acked = (void *)reno_pkts_acked,
	.undo_cwnd = (void *)reno_undo_cwnd,
	.name = "autocork_reno",
};

char LICENSE[] SEC("license") = "GPL";
