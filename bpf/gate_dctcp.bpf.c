/* SPDX-License-Identifier: GPL-2.0 */
/* The wrapper around DCTCP. */
#include "gate.bpf.h"

extern void dctcp_init(struct sock *sk) __ksym;
extern void dctcp_update_alpha(struct sock *sk, __u32 flags) __ksym;
extern void dctcp_cwnd_event(struct sock *sk, enum tcp_ca_event event) __ksym;
extern __u32 dctcp_ssthresh(struct sock *sk) __ksym;
extern __u32 dctcp_cwnd_undo(struct sock *sk) __ksym;
extern void dctcp_state(struct sock *sk, __u8 new_state) __ksym;
extern void tcp_reno_cong_avoid(struct sock *sk, __u32 ack, __u32 acked) __ksym;

SEC("struct_ops/dctcp_init")
void BPF_PROG(dctcp_start, struct sock *sk)
{
	dctcp_init(sk);
}

SEC("struct_ops/dctcp_release")
void BPF_PROG(dctcp_release, struct sock *sk)
{
	gate_leave(sk);
}

SEC("struct_ops/dctcp_min_tso_segs")
__u32 BPF_PROG(dctcp_gate, struct sock *sk)
{
	gate_pass(sk, true);
	return default_min_tso_segs(sk);
}

/* Also puts the window back before recovery is considered. */
SEC("struct_ops/dctcp_in_ack_event")
void BPF_PROG(dctcp_in_ack, struct sock *sk, __u32 flags)
{
	gate_clear(sk);
	dctcp_update_alpha(sk, flags);
}

SEC("struct_ops/dctcp_cwnd_event")
void BPF_PROG(dctcp_event, struct sock *sk, enum tcp_ca_event event)
{
	gate_clear(sk);
	dctcp_cwnd_event(sk, event);
}

#ifdef AC_CWND_EVENT_TX_START
/* 7.1 split this event off cwnd_event, which keeps the ECN events. */
extern void dctcp_cwnd_event_tx_start(struct sock *sk) __ksym;

SEC("struct_ops/dctcp_tx_start")
void BPF_PROG(dctcp_tx_start, struct sock *sk)
{
	gate_clear(sk);
	dctcp_cwnd_event_tx_start(sk);
}
#endif

SEC("struct_ops/dctcp_ssthresh")
__u32 BPF_PROG(dctcp_recalc, struct sock *sk)
{
	gate_before_ssthresh(sk);
	return dctcp_ssthresh(sk);
}

SEC("struct_ops/dctcp_cong_avoid")
void BPF_PROG(dctcp_cong_avoid, struct sock *sk, __u32 ack, __u32 acked)
{
	if (gate_may_grow(sk))
		tcp_reno_cong_avoid(sk, ack, acked);
}

SEC("struct_ops/dctcp_set_state")
void BPF_PROG(dctcp_set_state, struct sock *sk, __u8 new_state)
{
	gate_clear(sk);
	dctcp_state(sk, new_state);
}

SEC("struct_ops/dctcp_undo_cwnd")
__u32 BPF_PROG(dctcp_undo, struct sock *sk)
{
	gate_clear(sk);
	return gate_undo(sk, dctcp_cwnd_undo(sk));
}

SEC(".struct_ops")
struct tcp_congestion_ops autocork_dctcp = {
	.init = (void *)dctcp_start,
	.release = (void *)dctcp_release,
	.min_tso_segs = (void *)dctcp_gate,
	.in_ack_event = (void *)dctcp_in_ack,
	.cwnd_event = (void *)dctcp_event,
#ifdef AC_CWND_EVENT_TX_START
	.cwnd_event_tx_start = (void *)dctcp_tx_start,
#endif
	.ssthresh = (void *)dctcp_recalc,
	.cong_avoid = (void *)dctcp_cong_avoid,
	.set_state = (void *)dctcp_set_state,
	.undo_cwnd = (void *)dctcp_undo,
	.flags = TCP_CONG_NEEDS_ECN,
	.name = "autocork_dctcp",
};

char LICENSE[] SEC("license") = "GPL";
