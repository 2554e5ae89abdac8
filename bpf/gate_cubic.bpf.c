/* SPDX-License-Identifier: GPL-2.0 */
/* The wrapper around CUBIC. */
#include "gate.bpf.h"

extern void cubictcp_init(struct sock *sk) __ksym;
extern __u32 cubictcp_recalc_ssthresh(struct sock *sk) __ksym;
extern void cubictcp_cong_avoid(struct sock *sk, __u32 ack, __u32 acked) __ksym;
extern void cubictcp_state(struct sock *sk, __u8 new_state) __ksym;
extern void cubictcp_acked(struct sock *sk, const struct ack_sample *sample) __ksym;
extern __u32 tcp_reno_undo_cwnd(struct sock *sk) __ksym;

SEC("struct_ops/cubic_init")
void BPF_PROG(cubic_init, struct sock *sk)
{
	cubictcp_init(sk);
}

SEC("struct_ops/cubic_release")
void BPF_PROG(cubic_release, struct sock *sk)
{
	gate_leave(sk);
}

#ifdef AC_CWND_EVENT_TX_START
/* 7.1 split this event off cwnd_event; CUBIC's own handler moved along. */
extern void cubictcp_cwnd_event_tx_start(struct sock *sk) __ksym;
#define cubic_tx_start(sk) cubictcp_cwnd_event_tx_start(sk)
#else
extern void cubictcp_cwnd_event(struct sock *sk, enum tcp_ca_event event) __ksym;
#define cubic_tx_start(sk) cubictcp_cwnd_event(sk, CA_EVENT_TX_START)
#endif

/* Of which time of tp->lsndtime CUBIC has been told. Beside the hint (GATE_HINT), in memory that CUBIC does not use. */
#define TOLD(tp) (*(__u32 *)&(tp)->inet_conn.icsk_ca_priv[11])

/*
 * What cwnd_event was for: after an idle time CUBIC sets its epoch on by that time. The kernel asks for it with every
 * packet that is sent while none is in flight, and a callback there costs every single write. The gate is asked right
 * before, and knows the time.
 */
static __always_inline void cubic_idle_ends(struct sock *sk)
{
	struct tcp_sock *tp = tcp_sk(sk);

	if (packets_in_flight(tp) || !tp->snd_cwnd || tp->write_seq == tp->snd_nxt)
		return;
	if (tp->lsndtime == (__u32)bpf_jiffies64() || tp->lsndtime == TOLD(tp))
		return;
	TOLD(tp) = tp->lsndtime;
	cubic_tx_start(sk);
}

SEC("struct_ops/cubic_min_tso_segs")
__u32 BPF_PROG(cubic_min_tso_segs, struct sock *sk)
{
	gate_pass(sk, true);
	cubic_idle_ends(sk);
	return default_min_tso_segs(sk);
}

SEC("struct_ops/cubic_ssthresh")
__u32 BPF_PROG(cubic_ssthresh, struct sock *sk)
{
	gate_before_ssthresh(sk);
	return cubictcp_recalc_ssthresh(sk);
}

SEC("struct_ops/cubic_cong_avoid")
void BPF_PROG(cubic_cong_avoid, struct sock *sk, __u32 ack, __u32 acked)
{
	if (gate_may_grow(sk))
		cubictcp_cong_avoid(sk, ack, acked);
}

SEC("struct_ops/cubic_set_state")
void BPF_PROG(cubic_set_state, struct sock *sk, __u8 new_state)
{
	gate_clear(sk);
	cubictcp_state(sk, new_state);
}

/* Runs for every ACK that finds data in flight, before recovery is considered: no in_ack_event is needed beside it. */
SEC("struct_ops/cubic_pkts_acked")
void BPF_PROG(cubic_pkts_acked, struct sock *sk, const struct ack_sample *sample)
{
	gate_clear(sk);
	cubictcp_acked(sk, sample);
}

SEC("struct_ops/cubic_undo_cwnd")
__u32 BPF_PROG(cubic_undo_cwnd, struct sock *sk)
{
	gate_clear(sk);
	return gate_undo(sk, tcp_reno_undo_cwnd(sk));
}

SEC(".struct_ops")
struct tcp_congestion_ops autocork_cubic = {
	.init = (void *)cubic_init,
	.release = (void *)cubic_release,
	.min_tso_segs = (void *)cubic_min_tso_segs,
	.ssthresh = (void *)cubic_ssthresh,
	.cong_avoid = (void *)cubic_cong_avoid,
	.set_state = (void *)cubic_set_state,
	.pkts_acked = (void *)cubic_pkts_acked,
	.undo_cwnd = (void *)cubic_undo_cwnd,
	.name = "autocork_cubic",
};

char LICENSE[] SEC("license") = "GPL";
