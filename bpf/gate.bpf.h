/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The gate: what every wrapper adds to the congestion control it wraps.
 *
 * tcp_write_xmit() calls min_tso_segs first, with the socket locked, for every write. To hold, the gate sets snd_cwnd
 * to the packets in flight, so that tcp_cwnd_test() finds no room; to release, it puts the saved value back before that
 * test, inside the program's own send(). Every other callback puts the window back before the wrapped algorithm sees
 * it; the next min_tso_segs decides anew.
 */
#pragma once
#include "calls.bpf.h"
#include "event.bpf.h"
#include "hold.bpf.h"
#include "maps.bpf.h"
#include "own_time.bpf.h"
#include "program.bpf.h"
#include "queue.bpf.h"
#include "tcp.bpf.h"
#include "wheel.bpf.h"
#include <bpf/bpf_tracing.h>

/*
 * Where the number of the flow's record is kept in its socket: an integer that the wrapped algorithm has no use for,
 * and that is 0 when it starts. The last word of the algorithm's private memory, where it does not fill that (CUBIC
 * takes 60 bytes of 104, DCTCP 36, Reno none).
 */
#ifndef GATE_HINT
#define GATE_HINT(tp) (*(__u32 *)&(tp)->inet_conn.icsk_ca_priv[12])
#endif

/* The kernel may have set the hint to 0, so it is one. */
static __always_inline struct ac_flow *gate_flow(struct sock *sk)
{
	struct tcp_sock *tp = tcp_sk(sk);
	__u32 number = GATE_HINT(tp);
	struct ac_flow *f = record_at(number, sk);

	if (f)
		return f;
	f = flow_find(sk);
	if (f)
		GATE_HINT(tp) = f->number;
	return f;
}

static __always_inline void gate_put_back(struct tcp_sock *tp, struct ac_flow *f)
{
	if (f->saved_cwnd) {
		tp->snd_cwnd = f->saved_cwnd;
		f->saved_cwnd = 0;
	}
}

/* For the callbacks that only must not see the gated window. */
static __always_inline struct ac_flow *gate_clear(struct sock *sk)
{
	struct ac_flow *f = gate_flow(sk);

	if (f)
		gate_put_back(tcp_sk(sk), f);
	return f;
}

/* Counts a burst of `length` writes. Those made before the flow came on its wrapper the observer has counted. */
static __always_inline void gate_burst_counted(struct ac_flow *f, struct ac_service_stats *stats, __u32 length)
{
	f->bursts++;
	ac_count(&stats->bursts, 1);
	ac_count(&stats->writes, length - f->seen);
	f->seen = 0;
	ac_count_in(stats->burst_length, length);
}

/* A burst of `length` writes, ending before end_seq, is over. */
static __always_inline void gate_burst_ended(struct sock *sk, struct ac_flow *f, __u32 length, __u32 end_seq,
					     bool missed)
{
	struct ac_service_stats *stats = stats_of(f);
	struct ac_service_memory *memory;

	if (missed)
		miss_count(f, stats);
	if (stats) {
		gate_burst_counted(f, stats, length);
		ac_count(&stats->written_bytes, end_seq - f->counted_seq);
		f->counted_seq = end_seq;
	}
	if (ac_prior_due(&f->predictor)) {
		memory = memory_of(f);
		if (memory) {
			ac_prior_learn(&memory->prior, &f->predictor);
			service_gains(f, memory);
		}
	}
	if (ac_predictor_idle(&f->predictor) && flow_asks_again(f))
		kick(AC_KICK_RECONCILE, netns_of(sk));
	if (missed && f->predictor.debt > (AC_ALLOWANCE - 1) * AC_MISS && event_wanted(AC_EVENT_BACKOFF))
		event_backoff(sk, f, f->predictor.debt - (AC_ALLOWANCE - 1) * AC_MISS);
}

static __always_inline bool gate_is_open(struct tcp_sock *tp)
{
	__u8 state = sk_of(tp)->__sk_common.skc_state;

	return state == TCP_ESTABLISHED || state == TCP_CLOSE_WAIT;
}

/* The FIN takes along what is held, all of it: otherwise it would have been a packet of its own. */
static __always_inline void gate_closing(struct tcp_sock *tp, struct ac_flow *f, __u32 now)
{
	struct ac_service_stats *stats = stats_of(f);

	event_of_hold(tp, f, now, AC_EVENT_RELEASE, AC_REASON_CLOSING);
	hold_ended(f, now, AC_REASON_CLOSING);
	f->held++;
	if (stats)
		ac_count(&stats->held, 1);
	ac_on_release(&f->predictor);
}

/* include/uapi/linux/net_tstamp.h: every stamp of what is sent, and the asking for those that a call's own message may
 * order. */
#define STAMPS_OF_SENDING (1 << 0 | 1 << 1 | 1 << 4 | 1 << 6 | 1 << 8 | 1 << 9 | 1 << 18)

static __always_inline bool gate_is_stamped(struct sock *sk)
{
	if (sk->sk_tsflags & STAMPS_OF_SENDING)
		return true;
	return bpf_core_field_exists(sk->sk_bpf_cb_flags) && sk->sk_bpf_cb_flags & AC_SK_BPF_CB_TX_TIMESTAMPING;
}

/* Why the write just made is to leave as it was written: what joins writes would swallow what the program has asked
 * for. */
static __always_inline enum ac_refusal gate_refusal(struct tcp_sock *tp)
{
	struct sock *sk = sk_of(tp);
	const struct sk_buff *tail = queue_tail(sk);

	if (gate_is_stamped(sk))
		return AC_REFUSAL_STAMPED;
	if (tail_ends_record(tail))
		return AC_REFUSAL_RECORD;
	if (sock_flag(sk, bpf_core_enum_value(enum sock_flags, SOCK_ZEROCOPY)) && tail_is_zerocopy(tail))
		return AC_REFUSAL_ZEROCOPY;
	return AC_REFUSAL_NONE;
}

/* Not held, and once on record for it. */
static __always_inline void gate_refuse(struct ac_flow *f, enum ac_refusal refusal)
{
	struct ac_service_stats *stats = stats_of(f);

	f->refusal = refusal;
	if (f->flags & AC_FLOW_OVERRULED || !stats)
		return;
	f->flags |= AC_FLOW_OVERRULED;
	ac_count_at(stats->refused, AC_REFUSAL_MAX, refusal);
}

/* Fragments in the last segment, where the window is 0 meanwhile: see gate_window_is_safe(). */
#define FRAGMENTS_IDLE 1
#define FRAGMENTS_BUSY 8

/*
 * tcp_cwnd_restart() runs when a new segment is queued with nothing in flight and nothing sent for an RTO; it would
 * take our zero for the window and warn in tcp_snd_cwnd_set(). Algorithms with cong_control never get there. So with
 * nothing in flight a write is held only if what follows joins the segment that it is in: one that grows too large for
 * it meets the gate first (tcp_push_one()). A hold may outlast the RTO, by the policy's values or because the agent is
 * stopped: the room for fragments is asked for at any time.
 */
static __always_inline bool gate_window_is_safe(struct tcp_sock *tp, __u32 in_flight, bool restarts_when_idle)
{
	struct sock *sk = sk_of(tp);
	const struct ac_control *c;
	__u32 room;
	bool idle;

	if (in_flight || !restarts_when_idle || !sk->__sk_common.skc_net.net->ipv4.sysctl_tcp_slow_start_after_idle)
		return true;
	idle = ((__u32)bpf_jiffies64() - tp->lsndtime) * 2 > tp->inet_conn.icsk_rto;
	/* The program's own pages are as many as it likes. */
	if (idle && sock_flag(sk, bpf_core_enum_value(enum sock_flags, SOCK_ZEROCOPY)))
		return false;
	room = idle ? FRAGMENTS_IDLE : FRAGMENTS_BUSY;
	c = the_control();
	/* Any further fragment must find room too; most machines allow 17. */
	return c && tail_fragments(queue_tail(sk)) < c->fragments && tail_fragments(queue_tail(sk)) <= room;
}

/* May this hold begin? Asked for the first held write of a burst. */
static __always_inline bool gate_may_begin(struct tcp_sock *tp, struct ac_flow *f, const struct ac_control *c)
{
	/* Its policy may be another by now. */
	if (f->generation != (__u16)c->policy_generation)
		return false;
	/* Nobody ends it when the agent is gone. */
	if (tp->tcp_mstamp > c->alive_until_us)
		return false;
	/* kTLS and friends push records with flags of their own, and 6.1 refuses the iterator's setsockopt on them. */
	if (tp->inet_conn.icsk_ulp_ops)
		return false;
	/* What is queued in repair mode may not be sent at all. */
	if (BPF_CORE_READ_BITFIELD(tp, repair))
		return false;
	if (!ask_for_end(tp)) {
		gate_refuse(f, AC_REFUSAL_UNTOLD);
		return false;
	}
	return true;
}

/* May anything be held at all? When in doubt, open. */
static __always_inline bool gate_may_hold(struct tcp_sock *tp, struct ac_flow *f, __u32 in_flight,
					  bool restarts_when_idle)
{
	enum ac_refusal refusal;

	struct sock *sk = sk_of(tp);
	__u32 unsent = unsent_bytes(tp), lowat = tp->notsent_lowat;

	if (!gate_is_open(tp))
		return false;
	if (tp->snd_up != tp->snd_una) /* tcp_urg_mode() */
		return false;
	if (ca_state(tp) != TCP_CA_Open)
		return false;
	if (tp->snd_cwnd <= in_flight) /* the real window holds it already */
		return false;
	if (unsent >= tp->mss_cache)
		return false;
	/* A program that waits for room in its send buffer would wait for us. */
	if (2 * (__u32)sk->sk_wmem_queued >= (__u32)sk->sk_sndbuf)
		return false;
	if (!lowat)
		lowat = sk->__sk_common.skc_net.net->ipv4.sysctl_tcp_notsent_lowat;
	if (unsent >= lowat / 2)
		return false;
	refusal = gate_refusal(tp);
	if (refusal) {
		gate_refuse(f, refusal);
		return false;
	}
	return gate_window_is_safe(tp, in_flight, restarts_when_idle);
}

/* 6.1 does not let struct_ops write app_limited: the loader then tries again without. */
const volatile bool app_limited_writable = true;

static __always_inline void gate_close(struct tcp_sock *tp, struct ac_flow *f, __u32 in_flight)
{
	__u32 limited = tp->delivered + in_flight;

	f->saved_cwnd = tp->snd_cwnd;
	tp->snd_cwnd = in_flight;
	/* The gate stops the flow, not the network: BBR must not take the rate that follows for the path's. */
	if (app_limited_writable)
		tp->app_limited = limited ? limited : 1;
}

static __always_inline bool gate_begin(struct tcp_sock *tp, struct ac_flow *f, __u32 now, enum ac_nagle nagle)
{
	struct ac_control *c = the_control();

	if (!c || !gate_may_begin(tp, f, c) || !owner_ready(sk_of(tp), f, c))
		return false;
	f->refusal = AC_REFUSAL_NONE;
	f->hold_us = now;
	f->hold_nxt = tp->snd_nxt;
	f->hold_limit_us = ac_hold_limit(&f->predictor, &f->tuning, f->max_hold_us);
	f->hold_nagle = nagle;
	f->asked = 0;
	own_waits_note(f);
	if (!f->held)
		event_of_hold(tp, f, now, AC_EVENT_FIRST_HOLD, AC_REASON_MAX);
	/* Before it joins: the wheel lets go who does not hold. */
	f->held_now = 1;
	if (wheel_join(c, f))
		return true;
	f->held_now = 0;
	return false;
}

/* A new write: the predictor's verdict decides. */
static __always_inline void gate_write(struct tcp_sock *tp, struct ac_flow *f, __u32 now, __u32 bytes,
				       bool restarts_when_idle)
{
	__u32 in_flight = packets_in_flight(tp), copied_seq = tp->copied_seq, reason;
	bool read = copied_seq != f->copied_seq;
	enum ac_nagle nagle = nagle_of(tp, bytes);
	struct ac_outcome out;

	f->copied_seq = copied_seq;
	f->writes++;
	if (f->timed)
		own_gap(f, own_time(now), now);
	out = ac_on_write(&f->predictor, &f->tuning, now, bytes, read, nagle);
	if (out.ended)
		gate_burst_ended(sk_of(tp), f, out.ended, f->write_seq - bytes, out.missed);
	if (out.verdict == AC_HOLD && gate_may_hold(tp, f, in_flight, restarts_when_idle) &&
	    (f->held_now ? ++f->held_now : gate_begin(tp, f, now, nagle))) {
		gate_close(tp, f, in_flight);
		return;
	}
	if (out.verdict == AC_HOLD) /* the gate overruled it */
		ac_on_release(&f->predictor);
	if (f->held_now) {
		reason = out.verdict == AC_HOLD ? AC_REASON_FULL : AC_REASON_COMPLETE;
		event_of_hold(tp, f, now, AC_EVENT_RELEASE, reason);
		hold_ended(f, now, reason);
	}
	/* Bursts that teach nothing any more do without. In a softirq, anybody's task is the one that runs. */
	if (!f->predictor.steady && sk_of(tp)->sk_lock.owned)
		own_time_note(f, own_time(now));
	else
		f->timed = false;
}

/* An ACK, a timer, an option or the release process wants to send what is held. */
static __always_inline void gate_retry(struct tcp_sock *tp, struct ac_flow *f, __u32 now, bool restarts_when_idle)
{
	__u32 in_flight = packets_in_flight(tp), length, reason;
	bool missed, overdue = now - f->hold_us >= f->hold_limit_us;

	/* What was asked may have been an earlier hold. */
	if (f->asked == AC_REASON_APP_WAIT || f->asked == AC_REASON_CLOSING || f->asked == AC_REASON_OPTION)
		reason = f->asked;
	else if (f->asked && overdue)
		reason = AC_REASON_DEADLINE;
	else if (nonagle(tp) & TCP_NAGLE_PUSH)
		reason = AC_REASON_OPTION;
	else if (tp->snd_nxt != f->hold_nxt)
		reason = AC_REASON_CEILING;
	else if (overdue)
		reason = AC_REASON_DEADLINE;
	else if (now - f->predictor.last_us > f->tuning.burst_gap_us)
		reason = AC_REASON_ACK;
	else if (!gate_may_hold(tp, f, in_flight, restarts_when_idle))
		reason = AC_REASON_CLOSING;
	else {
		gate_close(tp, f, in_flight);
		return;
	}
	/* Asked for at the connection's end: a reset, which the write would have come before. */
	missed = reason != AC_REASON_OPTION && (reason != AC_REASON_CLOSING || f->asked == AC_REASON_CLOSING);
	event_of_hold(tp, f, now, missed ? AC_EVENT_MISS : AC_EVENT_RELEASE, reason);
	hold_ended(f, now, reason);
	if (!missed) {
		ac_on_release(&f->predictor);
		return;
	}
	length = ac_on_burst_end(&f->predictor, &f->tuning,
				 reason == AC_REASON_APP_WAIT || reason == AC_REASON_CLOSING ? AC_END_READ :
											       AC_END_DEADLINE);
	/* 0: the next write will tell whether that was the burst's end or a stall in it. */
	if (length)
		gate_burst_ended(sk_of(tp), f, length, f->write_seq, true);
}

/*
 * The body of every wrapper's min_tso_segs. `restarts_when_idle`: the wrapped algorithm has no cong_control, so the
 * kernel may restart its window after an idle time.
 */
static __always_inline void gate_pass(struct sock *sk, bool restarts_when_idle)
{
	struct tcp_sock *tp = tcp_sk(sk);
	__u32 now = tp->tcp_mstamp, seq = tp->write_seq, bytes;
	struct ac_flow *f = gate_flow(sk);

	if (!f)
		return;
	gate_put_back(tp, f);
	/* No kernel ever sets 0: it restarted a gated window, whose fragments were more than gate_window_is_safe() has
	 * room for. */
	if (!tp->snd_cwnd)
		tp->snd_cwnd = TCP_INIT_CWND;
	bytes = seq - f->write_seq;
	if (!bytes) {
		if (f->held_now)
			gate_retry(tp, f, now, restarts_when_idle);
		else if (f->predictor.kept && !ac_before(tp->snd_una, tp->snd_sml))
			ac_on_ack(&f->predictor, now);
		return;
	}
	f->write_seq = seq;
	/*
	 * MSG_MORE or TCP_CORK: the program corks by itself, and the kernel does it for us (sendfile and splice too).
	 * The FIN, a sequence number and no write, is never pushed either.
	 */
	if (tp->pushed_seq != seq || nonagle(tp) & TCP_NAGLE_CORK) {
		if (f->held_now && !gate_is_open(tp))
			gate_closing(tp, f, now);
		return;
	}
	/* Whoever holds the lock in its own context has written; in a softirq nobody owns it. */
	if (f->named && sk->sk_lock.owned)
		program_seen(sk, f);
	gate_write(tp, f, now, bytes, restarts_when_idle);
}

/*
 * A gated attempt sets tp->is_cwnd_limited, and the window would grow without being used (10, 15, 20 … was seen). So
 * ask again what tcp_is_cwnd_limited() asks, by the packets that were really out.
 */
static __always_inline bool gate_may_grow(struct sock *sk)
{
	struct tcp_sock *tp = tcp_sk(sk);
	struct ac_flow *f = gate_clear(sk);

	if (!f || !f->held)
		return true;
	if (tp->snd_cwnd < tp->snd_ssthresh) /* tcp_in_slow_start() */
		return tp->snd_cwnd < 2 * tp->max_packets_out;
	return tp->max_packets_out >= tp->snd_cwnd;
}

/* Loss recovery stores snd_cwnd in prior_cwnd before it calls ssthresh; what was stored may have been the gated one. */
static __always_inline void gate_before_ssthresh(struct sock *sk)
{
	struct ac_flow *f = gate_clear(sk);

	if (f)
		f->prior_cwnd = tcp_sk(sk)->snd_cwnd;
}

static __always_inline __u32 gate_undo(struct sock *sk, __u32 cwnd)
{
	struct ac_flow *f = gate_flow(sk);

	return f && f->prior_cwnd > cwnd ? f->prior_cwnd : cwnd;
}

/* The flow leaves the wrapper, by the agent or by the program's own setsockopt. One that is destroyed has no record any
 * more. */
static __always_inline void gate_leave(struct sock *sk)
{
	struct ac_flow *f = gate_clear(sk);
	struct tcp_sock *tp = tcp_sk(sk);
	struct ac_service_stats *stats;
	struct ac_control *c;
	__u32 length;

	if (!f)
		return;
	if (f->held_now) {
		hold_ended(f, tp->tcp_mstamp, AC_REASON_CLOSING);
		/* By the program's own setsockopt(), after which nothing sends for 200 ms. */
		if (gate_is_open(tp))
			owner_release(f, 0);
	}
	f->wrapper = AC_WRAPPER_NONE;
	GATE_HINT(tp) = 0;
	if (!(f->flags & AC_FLOW_OPEN))
		return;
	/* What the program chose may have a wrapper too. */
	c = the_control();
	if (c && c->reconcile != AC_RECONCILE_GIVE_BACK && f->mode == AC_MODE_AUTOCORK && flow_may_change(f))
		flow_watch(f, c);
	/* The observer begins with a burst of its own. Nobody will know whether a hold that ran out in this one was a
	 * miss. */
	ac_on_awake(&f->predictor);
	length = ac_on_burst_end(&f->predictor, &f->tuning, AC_END_CLOSE);
	stats = stats_of(f);
	if (!stats)
		return;
	if (length)
		gate_burst_counted(f, stats, length);
	ac_count(&stats->written_bytes, ac_call_unshut(tp->write_seq - f->counted_seq, fin_is_queued(sk)));
	f->counted_seq = tp->write_seq;
}

/* min_tso_segs of an algorithm that has none: the kernel's own default. */
static __always_inline __u32 default_min_tso_segs(struct sock *sk)
{
	return sk->__sk_common.skc_net.net->ipv4.sysctl_tcp_min_tso_segs;
}
