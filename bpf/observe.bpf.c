/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The observer: sees the writes and reads of flows that are not managed, and runs the predictor on them in shadow. The
 * same handlers hang on fentry where the kernel allows it and on tracepoints elsewhere; the agent picks the set by
 * trying (agent/engine/observer.c).
 */
#include "calls.bpf.h"
#include "maps.bpf.h"
#include "options.bpf.h"
#include "own_time.bpf.h"
#include "owner.bpf.h"
#include "packets.bpf.h"
#include "program.bpf.h"
#include "tcp.bpf.h"
#include "view.bpf.h"
#include <bpf/bpf_tracing.h>

/* Bursts after which a flow with nothing to gain is no longer a reason to observe. */
#define WATCH_BURSTS 256
/* Longer than any burst_gap, and than most answers take to be read. */
#define READER_US 1000000

/* Seen enough of a flow with nothing to gain? */
static __always_inline void shadow_tires(struct ac_flow *f, struct ac_control *c)
{
	if (f->bursts - f->watched_from < WATCH_BURSTS || !(f->flags & AC_FLOW_WATCHED))
		return;
	flow_unwatch(f, c);
	flow_no_gain(f);
}

/* The agent may not see the namespace that the flow is in (in a PID namespace of its own): nobody else would say so. */
static __always_inline void shadow_refuse(struct ac_flow *f, struct ac_control *c)
{
	struct ac_service_stats *stats = stats_of(f);

	f->refusal = AC_REFUSAL_OBSERVES;
	flow_unwatch(f, c);
	if (stats)
		ac_count_at(stats->refused, AC_REFUSAL_MAX, AC_REFUSAL_OBSERVES);
}

/* A burst, or what counts like one, is over: does the flow go to the gate, or is it no longer a reason to observe? */
static __always_inline void shadow_judge(struct sock *sk, struct ac_flow *f, struct ac_control *c)
{
	if (f->mode != AC_MODE_AUTOCORK || !flow_may_change(f))
		return;
	if (ac_predictor_promises(&f->predictor)) {
		if (!c->wrappers)
			shadow_refuse(f, c);
		else if (flow_asks_again(f))
			kick(AC_KICK_RECONCILE, netns_of(sk));
	} else if (!ac_predictor_gains(&f->predictor) || ac_predictor_rests_long(&f->predictor)) {
		shadow_tires(f, c); /* one that gains and rests for a short time comes back when that is over */
	}
}

/*
 * A full segment leaves by itself, and a flow that is read from and writes nothing has nothing to hold. Neither need
 * ever end a burst: each such call counts like a burst with nothing to gain, or one bulk transfer would keep the
 * observer on every flow of the machine.
 */
static __always_inline void shadow_bulk(struct sock *sk, struct ac_flow *f)
{
	struct ac_control *c = the_control();

	f->watched_from--;
	if (c)
		shadow_judge(sk, f, c);
}

/* The shadow predictor's burst is over. */
static __always_inline void shadow_burst_ended(struct sock *sk, struct ac_flow *f, struct ac_service_stats *stats,
					       __u32 length, bool missed)
{
	struct ac_service_memory *memory = memory_of(f);
	struct ac_control *c = the_control();

	if (!memory || !c)
		return;
	f->bursts++;
	if (f->flags & AC_FLOW_WATCHED) {
		c->watched_bursts++;
		c->vain_calls = 0;
	}
	burst_count(stats, f, length);
	if (missed)
		ac_count(&stats->shadow_misses, f->weight);
	if (ac_prior_due(&f->predictor))
		ac_prior_learn(&memory->prior, &f->predictor);
	shadow_judge(sk, f, c);
}

/*
 * Calls in vain after which the observer goes if no watched flow did anything meanwhile: 2 ms of CPU time, at some 120
 * ns each. A bulk transfer makes them in 60 ms, and would else pay 4% for as long as an idle flow beside it is waited
 * for.
 */
#define VAIN_CALLS 16384

static __always_inline void seen_in_vain(struct ac_flow *f, struct ac_control *c)
{
	__u32 begins;

	/* By the 256, to keep a busy machine's CPUs off one cache line. */
	if (++f->vain)
		return;
	begins = c->watch_begins;
	if (__sync_add_and_fetch(&c->vain_calls, 256) < VAIN_CALLS)
		return;
	c->vain_calls = 0;
	kick(AC_KICK_DISMISS, begins);
}

/* While the observer is there for the watched flows only, it has no business with the others. */
static __always_inline bool is_seen(struct ac_flow *f)
{
	struct ac_control *c = the_control();

	if (!(f->flags & AC_FLOW_WATCHED) && c && !c->sees_all) {
		seen_in_vain(f, c);
		return false;
	}
	return f->mode != AC_MODE_OBSERVE || f->weight || f->flags & AC_FLOW_WATCHED;
}

/* How long is a stall of this service? What an ACK let go at once was none, and no hold is for its sake. */
static __always_inline void stall_measured(const struct ac_flow *f, __u32 waited)
{
	struct ac_service_memory *memory = memory_of(f);

	if (!memory || waited <= AC_STALL_US)
		return;
	memory->stall_us = memory->stall_us ? memory->stall_us - memory->stall_us / 8 + waited / 8 : waited;
}

/* What stalled has left: the ACK that let it go is not seen here, but the time of the last packet sent is kept. */
static __always_inline void stall_ended(const struct tcp_sock *tp, struct ac_flow *f, struct ac_service_stats *stats)
{
	__u32 waited = (__u32)(tp->tcp_wstamp_ns / 1000) - f->stall_us;

	if (!ac_before(f->stall_seq, tp->snd_nxt))
		return;
	/* A packet may be sent ahead of its pacing time, and a clock be read after the packet. */
	if ((__s32)waited > 0) {
		ac_count(&stats->stalls, f->weight);
		ac_count(&stats->stall_us, (__u64)f->weight * waited);
		if (f->stalled == AC_STALL_AVOIDABLE)
			ac_count(&stats->shadow_stall_us, (__u64)f->weight * waited);
		stall_measured(f, waited);
	}
	if (!f->wrapper)
		ac_on_ack(&f->predictor, (__u32)(tp->tcp_wstamp_ns / 1000));
	f->stalled = AC_STALL_NONE;
}

/* A write that takes the stream up to `end` at `now`. */
static __always_inline void stall_seen(struct tcp_sock *tp, struct ac_flow *f, struct ac_service_stats *stats,
				       __u32 now, __u32 end)
{
	if (f->stalled)
		stall_ended(tp, f, stats);
	if (f->stalled || !nagle_keeps(tp, end - tp->snd_nxt))
		return;
	f->stalled = f->predictor.holding ? AC_STALL_AVOIDABLE : AC_STALL_SEEN;
	f->stall_us = now;
	f->stall_seq = tp->snd_nxt;
}

/* Had the writes before it been held, as the shadow holds them, this one would find nothing on its way to wait for. */
static __always_inline enum ac_nagle shadow_nagle(const struct ac_flow *f, struct tcp_sock *tp, __u32 bytes, bool read)
{
	enum ac_nagle nagle = nagle_of(tp, bytes);

	return nagle == AC_NAGLE_KEEPS && f->predictor.holding && !read ? AC_NAGLE_SENDS : nagle;
}

/* How a hook sees writes. */
enum sight {
	SIGHT_CALL,   /* once per call, before it */
	SIGHT_PIECE,  /* before each piece of it */
	SIGHT_RESULT, /* once per call, after it, with what it queued */
};

static __always_inline int on_write(struct sock *sk, __u32 bytes, __u32 msg_flags, enum sight sight)
{
	struct ac_flow *f = flow_find(sk);
	struct ac_service_stats *stats;
	__u32 copied_seq, seq, now;
	struct ac_outcome out;
	struct own_time own;
	struct tcp_sock *tp;

	if (!f || !(f->flags & AC_FLOW_OPEN) || !is_seen(f))
		return 0;
	if (f->named)
		program_seen(sk, f);
	tp = bpf_skc_to_tcp_sock(sk);
	stats = stats_of(f);
	if (!tp || !stats)
		return 0;
	seq = tp->write_seq;
	if (sight == SIGHT_PIECE && ac_call_goes_on(f, seq, seq + bytes, !(msg_flags & MSG_DONTWAIT))) {
		f->piece_seq = seq;
		return 0;
	}
	if (sight == SIGHT_RESULT) {
		/* The call itself told nothing of MSG_MORE, but it left the mark that the gate goes by. */
		if (tp->pushed_seq != seq)
			msg_flags |= MSG_MORE;
		seq -= bytes;
	} else {
		call_settle(f, stats, tp, false);
	}
	ac_call_begin(f, seq, bytes, call_kind(sk, tp, f, msg_flags));
	if (sight == SIGHT_RESULT)
		call_settle(f, stats, tp, false);
	/* The shadow has no say in what the gate decides. */
	if (f->wrapper)
		return 0;
	copied_seq = tp->copied_seq;
	now = bpf_ktime_get_ns() / 1000;
	/* Before the observer came, or while it was away. */
	if (ac_before(f->write_seq, seq)) {
		ac_on_unseen(&f->predictor, now);
		f->copied_seq = copied_seq;
	}
	f->write_seq = seq + bytes;
	/* The program corks by itself. */
	if (msg_flags & MSG_MORE || nonagle(tp) & TCP_NAGLE_CORK)
		return 0;
	if (!nonagle(tp))
		stall_seen(tp, f, stats, now, tp->write_seq + (sight == SIGHT_RESULT ? 0 : bytes));
	own = own_time(now);
	if (f->timed)
		own_gap(f, own, now);
	own_time_note(f, own);
	out = ac_on_write(&f->predictor, &f->tuning, now, bytes, copied_seq != f->copied_seq,
			  shadow_nagle(f, tp, bytes, copied_seq != f->copied_seq));
	f->copied_seq = copied_seq;
	if (out.verdict == AC_HOLD) {
		ac_count(&stats->shadow_held, f->weight);
		if (f->stalled)
			ac_count(&stats->shadow_merged, f->weight);
	}
	if (out.ended)
		shadow_burst_ended(sk, f, stats, out.ended, out.missed);
	else if (bytes >= tp->mss_cache && f->flags & AC_FLOW_WATCHED)
		shadow_bulk(sk, f);
	return 0;
}

/* Is the flow only read from? Its last burst, if there was one, is long over, but no write came to say so. */
static __always_inline bool is_reader(const struct ac_flow *f)
{
	return !f->predictor.len || now_us() - f->predictor.last_us > READER_US;
}

static __always_inline int on_read(struct sock *sk, int bytes)
{
	struct ac_flow *f = flow_find(sk);
	struct ac_service_stats *stats;
	struct tcp_sock *tp;

	if (!f || !(f->flags & AC_FLOW_OPEN) || !is_seen(f))
		return 0;
	if (f->named)
		program_seen(sk, f);
	stats = stats_of(f);
	if (!stats)
		return 0;
	if (bytes > 0) {
		ac_count(&stats->reads, f->weight);
		ac_count(&stats->read_bytes, (__u64)f->weight * bytes);
	}
	if (f->flags & AC_FLOW_WATCHED && is_reader(f))
		shadow_bulk(sk, f);
	if (f->stalled && !f->wrapper) {
		tp = bpf_skc_to_tcp_sock(sk);
		if (tp)
			stall_ended(tp, f, stats);
	}
	return 0;
}

/* The program waits for input while its write is held: the guess was wrong, do not wait for the deadline. */
static __always_inline int on_wait(struct sock *sk)
{
	struct ac_flow *f = flow_find(sk);

	/* On a flow with a reader thread waiting for input says nothing about the writes. */
	if (!f || !f->held_now || (f->asked && f->asked != AC_REASON_DEADLINE) || f->predictor.duplex & 1)
		return 0;
	owner_release(f, AC_REASON_APP_WAIT);
	return 0;
}

SEC("fentry/tcp_sendmsg_locked")
int BPF_PROG(write_fentry, struct sock *sk, struct msghdr *msg, unsigned long size)
{
	return on_write(sk, size, msg->msg_flags, SIGHT_CALL);
}

/* Until 6.5 sendfile and splice came this way instead. tcp_sendpage_locked() would not do: tcp_sendpage() has its body
 * inlined. */
SEC("fentry/do_tcp_sendpages")
int BPF_PROG(sendpage_fentry, struct sock *sk, void *page, int offset, unsigned long size, int flags)
{
	return on_write(sk, size, flags | MSG_SPLICE_PAGES, SIGHT_CALL);
}

/* 6.16+ (commit 0f08335ade71). Fires once for every piece of a write. */
SEC("tp_btf/tcp_sendmsg_locked")
int BPF_PROG(write_tracepoint, struct sock *sk, struct msghdr *msg)
{
	return on_write(sk, msg->msg_iter.count, msg->msg_flags, SIGHT_PIECE);
}

/* 6.3+, for kernels with neither of the above. After the call, and without its flags. */
SEC("tp_btf/sock_send_length")
int BPF_PROG(write_length, struct sock *sk, int length)
{
	if (length <= 0 || sk->sk_protocol != IPPROTO_TCP)
		return 0;
	return on_write(sk, length, 0, SIGHT_RESULT);
}

SEC("fentry/tcp_recvmsg")
int BPF_PROG(recv_wait, struct sock *sk)
{
	return on_wait(sk);
}

SEC("fexit/tcp_recvmsg")
int BPF_PROG(read_fexit, struct sock *sk)
{
	__u64 ret = 0;

	/* Not as the last argument: 7.1 took one argument away. */
	bpf_get_func_ret(ctx, &ret);
	return on_read(sk, ret);
}

SEC("fentry/tcp_poll")
int BPF_PROG(poll_wait, struct file *file, struct socket *sock)
{
	struct sock *sk = sock->sk;

	return sk ? on_wait(sk) : 0;
}

/* 6.3+. After the call: a read that found nothing is the first that is heard of the program's waiting. */
SEC("tp_btf/sock_recv_length")
int BPF_PROG(read_length, struct sock *sk, int length)
{
	if (sk->sk_protocol != IPPROTO_TCP)
		return 0;
	if (length < 0)
		on_wait(sk);
	return on_read(sk, length);
}

char LICENSE[] SEC("license") = "GPL";
