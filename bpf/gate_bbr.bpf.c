/* SPDX-License-Identifier: GPL-2.0 */
/* The wrapper around BBR. */
#define AC_CONG_CONTROL
/* BBR fills its private memory, and does not count the linear increase. Loss recovery sets this to 0. */
#define GATE_HINT(tp) ((tp)->snd_cwnd_cnt)
#include "gate.bpf.h"

extern void bbr_init(struct sock *sk) __ksym;
extern __u32 bbr_ssthresh(struct sock *sk) __ksym;
extern void bbr_set_state(struct sock *sk, __u8 new_state) __ksym;
extern __u32 bbr_min_tso_segs(struct sock *sk) __ksym;
extern __u32 bbr_undo_cwnd(struct sock *sk) __ksym;
extern __u32 bbr_sndbuf_expand(struct sock *sk) __ksym;

SEC("struct_ops/bbr_init")
void BPF_PROG(bbr_start, struct sock *sk)
{
	bbr_init(sk);
}

SEC("struct_ops/bbr_release")
void BPF_PROG(bbr_release, struct sock *sk)
{
	gate_leave(sk);
}

SEC("struct_ops/bbr_min_tso_segs")
__u32 BPF_PROG(bbr_gate, struct sock *sk)
{
	gate_pass(sk, false);
	return bbr_min_tso_segs(sk);
}

SEC("struct_ops/bbr_ssthresh")
__u32 BPF_PROG(bbr_recalc, struct sock *sk)
{
	gate_before_ssthresh(sk);
	return bbr_ssthresh(sk);
}

#ifdef AC_CONG_CONTROL_OLD
/* Before 6.10 (commit 57bfc7605ca5) cong_control had no ack and flag. */
extern void bbr_main(struct sock *sk, const struct rate_sample *rs) __ksym;

SEC("struct_ops/bbr_cong_control")
void BPF_PROG(bbr_control, struct sock *sk, const struct rate_sample *rs)
{
	gate_clear(sk);
	bbr_main(sk, rs);
}
#else
extern void bbr_main(struct sock *sk, __u32 ack, int flag, const struct rate_sample *rs) __ksym;

SEC("struct_ops/bbr_cong_control")
void BPF_PROG(bbr_control, struct sock *sk, __u32 ack, int flag, const struct rate_sample *rs)
{
	gate_clear(sk);
	bbr_main(sk, ack, flag, rs);
}
#endif

/* BBR has none; here it puts the window back before recovery is considered. */
SEC("struct_ops/bbr_pkts_acked")
void BPF_PROG(bbr_acked, struct sock *sk, const struct ack_sample *sample)
{
	gate_clear(sk);
}

SEC("struct_ops/bbr_set_state")
void BPF_PROG(bbr_state, struct sock *sk, __u8 new_state)
{
	gate_clear(sk);
	bbr_set_state(sk, new_state);
}

SEC("struct_ops/bbr_undo_cwnd")
__u32 BPF_PROG(bbr_undo, struct sock *sk)
{
	gate_clear(sk);
	return gate_undo(sk, bbr_undo_cwnd(sk));
}

SEC("struct_ops/bbr_sndbuf_expand")
__u32 BPF_PROG(bbr_sndbuf, struct sock *sk)
{
	return bbr_sndbuf_expand(sk);
}

#ifdef AC_CWND_EVENT_TX_START
/* 7.1 split this event off cwnd_event; BBR's own handler moved along. */
extern void bbr_cwnd_event_tx_start(struct sock *sk) __ksym;

SEC("struct_ops/bbr_tx_start")
void BPF_PROG(bbr_tx_start, struct sock *sk)
{
	gate_clear(sk);
	bbr_cwnd_event_tx_start(sk);
}
#else
extern void bbr_cwnd_event(struct sock *sk, enum tcp_ca_event event) __ksym;

SEC("struct_ops/bbr_cwnd_event")
void BPF_PROG(bbr_event, struct sock *sk, enum tcp_ca_event event)
{
	gate_clear(sk);
	bbr_cwnd_event(sk, event);
}
#endif

SEC(".struct_ops")
struct tcp_congestion_ops autocork_bbr = {
	.init = (void *)bbr_start,
	.release = (void *)bbr_release,
	.min_tso_segs = (void *)bbr_gate,
	.ssthresh = (void *)bbr_recalc,
	.cong_control = (void *)bbr_control,
	.pkts_acked = (void *)bbr_acked,
	.set_state = (void *)bbr_state,
	.undo_cwnd = (void *)bbr_undo,
	.sndbuf_expand = (void *)bbr_sndbuf,
#ifdef AC_CWND_EVENT_TX_START
	.cwnd_event_tx_start = (void *)bbr_tx_start,
#else
	.cwnd_event = (void *)bbr_event,
#endif
	.name = "autocork_bbr",
};

char LICENSE[] SEC("license") = "GPL";
