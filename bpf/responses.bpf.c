/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tells what a program did for each response: writes, option calls, segments. Attached only while somebody wants to
 * know: who listens to events is told of each (or of each write and read), who watches (`autocork responses`) has them
 * added up by pattern, in programs and maps of the watch's own, so that no rate is too high.
 */
#include "event.bpf.h"
#include "option.bpf.h"
#include <autocork/response.h>
#include <autocork/response_sum.h>
#include <bpf/bpf_tracing.h>

#define EAGAIN 11
#define MSG_PEEK 2

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct ac_response);
} responses SEC(".maps");

const volatile struct ac_response_watch watch SEC(".rodata.watch");

/* Bounded, so that one with more patterns than that does not take all memory; the agent puts AC_RESPONSE_OTHER in. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, AC_RESPONSE_KEYS_MAX);
	__type(key, struct ac_response_key);
	__type(value, struct ac_response_sum);
} response_sums SEC(".maps");

static const struct ac_response_sum nothing;

static __always_inline void look(struct tcp_sock *tp, struct ac_response_facts *facts)
{
	facts->now_ns = bpf_ktime_get_ns();
	facts->sent_ns = tp->tcp_wstamp_ns;
	facts->sent_bytes = tp->bytes_sent;
	facts->write_seq = tp->write_seq;
	facts->snd_nxt = tp->snd_nxt;
	facts->copied_seq = tp->copied_seq;
	facts->segments = tp->data_segs_out;
	facts->retransmits = tp->total_retrans;
	facts->mss = tp->mss_cache;
	facts->nonagle = nonagle(tp);
	/* What the gate holds does not wait for the peer: it leaves no room in the window. */
	facts->room = packets_in_flight(tp) < tp->snd_cwnd && tp->write_seq - tp->snd_una <= tp->snd_wnd;
}

static __always_inline struct ac_flow *flow_of(struct sock *sk)
{
	struct ac_flow *f = flow_find(sk);

	return f && f->flags & (AC_FLOW_OPEN | AC_FLOW_LEFT) ? f : NULL;
}

static __always_inline struct ac_response_sum *sum_of(const struct ac_flow *f, const struct ac_event_response *told)
{
	struct ac_response_key key = { .service = f->service, .calls = ac_response_calls(told) };
	struct ac_response_key other = { .service = AC_RESPONSE_OTHER };
	struct ac_response_sum *sum = bpf_map_lookup_elem(&response_sums, &key);

	if (sum)
		return sum;
	/* Where another CPU was first, its entry is found. */
	bpf_map_update_elem(&response_sums, &key, &nothing, BPF_NOEXIST);
	sum = bpf_map_lookup_elem(&response_sums, &key);
	return sum ? sum : bpf_map_lookup_elem(&response_sums, &other);
}

/* Once in each program is enough: it is long. */
static __noinline int add_up(struct ac_flow *f, struct ac_response *r)
{
	struct ac_response_sum *sum;

	if (!f || !r)
		return 0;
	sum = sum_of(f, &r->told);
	if (sum)
		ac_response_sum_add(sum, &r->told);
	return 0;
}

static __always_inline void tell(struct sock *sk, struct ac_flow *f, struct ac_response *r)
{
	struct ac_event *e;

	if (watch.adds_up) {
		add_up(f, r);
		return;
	}
	if (!event_wanted(AC_EVENT_RESPONSE))
		return;
	e = event_begin(sk, f, AC_EVENT_RESPONSE);
	if (!e)
		return;
	e->response = r->told;
	bpf_ringbuf_submit(e, 0);
}

/* Tells of one call. Corked as the gate sees it: what was written is not pushed. */
static __noinline int tell_call(struct sock *sk, struct ac_flow *f, __u32 type, __u32 bytes)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	struct ac_event *e;

	if (!tp || !f || watch.adds_up || !event_wanted(type))
		return 0;
	e = event_begin(sk, f, type);
	if (!e)
		return 0;
	e->call.bytes = bytes;
	e->call.mss = tp->mss_cache;
	e->call.rtt_us = tp->rtt_min.s[0].v;
	e->call.nodelay = !!(nonagle(tp) & TCP_NAGLE_OFF);
	e->call.more = type == AC_EVENT_WRITE && (tp->pushed_seq != tp->write_seq || nonagle(tp) & TCP_NAGLE_CORK);
	bpf_ringbuf_submit(e, 0);
	return 0;
}

static __always_inline bool is_watched(struct sock *sk)
{
	return !watch.port || watch.port == sk->__sk_common.skc_num ||
	       watch.port == bpf_ntohs(sk->__sk_common.skc_dport);
}

/* The flow's record, and what its socket shows; a read since ends a response here, whichever way the program read. */
static __always_inline struct ac_response *visit(struct sock *sk, struct ac_response_facts *facts)
{
	struct ac_flow *f = flow_of(sk);
	struct ac_response *r;
	struct tcp_sock *tp;

	if (!f || !is_watched(sk))
		return NULL;
	r = bpf_sk_storage_get(&responses, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	tp = bpf_skc_to_tcp_sock(sk);
	if (!r || !tp)
		return NULL;
	look(tp, facts);
	if (ac_response_has_read(r, facts)) {
		ac_response_close(r, facts, facts->write_seq != facts->snd_nxt);
		tell(sk, f, r);
		ac_response_reset(r, facts);
	}
	return r;
}

/* 6.16+. Fires for every piece of a write, before it is queued. */
SEC("tp_btf/tcp_sendmsg_locked")
int BPF_PROG(write_begins, struct sock *sk, struct msghdr *msg)
{
	struct ac_response_facts facts;
	struct ac_response *r = visit(sk, &facts);

	if (r)
		ac_response_write_begins(r, &facts, msg->msg_iter.count,
					 msg->msg_flags & MSG_SPLICE_PAGES && msg->msg_flags & MSG_MORE);
	return 0;
}

/* Fires once for a write, after it. */
SEC("tp_btf/sock_send_length")
int BPF_PROG(write_ends, struct sock *sk, int length)
{
	struct ac_response_facts facts;
	struct ac_response *r;
	struct tcp_sock *tp;
	struct ac_flow *f;

	if (sk->sk_protocol != IPPROTO_TCP)
		return 0;
	f = flow_of(sk);
	r = f ? bpf_sk_storage_get(&responses, sk, 0, 0) : NULL;
	tp = bpf_skc_to_tcp_sock(sk);
	if (!r || !tp)
		return 0;
	look(tp, &facts);
	ac_response_write_ends(r, &facts, length);
	if (length > 0)
		tell_call(sk, f, AC_EVENT_WRITE, length);
	return 0;
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(read_ends, struct sock *sk, int length, int flags)
{
	struct ac_response_facts facts;

	if (sk->sk_protocol != IPPROTO_TCP)
		return 0;
	if (length >= 0)
		visit(sk, &facts);
	if (length >= 0 || length == -EAGAIN)
		tell_call(sk, flow_of(sk), AC_EVENT_READ, length > 0 && !(flags & MSG_PEEK) ? length : 0);
	return 0;
}

/* Before the packet is looked at: what left since the last one left by itself, or for that one. */
SEC("tp_btf/tcp_probe")
int BPF_PROG(packet_comes, struct sock *sk)
{
	struct ac_response *r = bpf_sk_storage_get(&responses, sk, 0, 0);
	struct ac_response_facts facts;
	struct tcp_sock *tp;
	struct ac_flow *f;

	if (!r || !(r->state & AC_RESPONSE_TAIL))
		return 0;
	f = flow_of(sk);
	tp = bpf_skc_to_tcp_sock(sk);
	if (!f || !tp)
		return 0;
	look(tp, &facts);
	ac_response_packet(r, &facts);
	return 0;
}

/* The connection is over. life.bpf.c may have heard of it first, so its record may say so already. */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(flow_ends, struct sock *sk, int before, int after)
{
	struct ac_response_facts facts;
	struct ac_response *r;
	struct tcp_sock *tp;
	struct ac_flow *f;

	if (sk->sk_protocol != IPPROTO_TCP)
		return 0;
	/* Its FIN; or, if there was none, a reset. */
	if (after == TCP_FIN_WAIT1 || after == TCP_LAST_ACK ||
	    (after == TCP_CLOSE && (before == TCP_ESTABLISHED || before == TCP_CLOSE_WAIT)))
		tell_call(sk, flow_of(sk), AC_EVENT_END, 0);
	if (after != TCP_CLOSE)
		return 0;
	r = bpf_sk_storage_get(&responses, sk, 0, 0);
	f = flow_of(sk);
	tp = bpf_skc_to_tcp_sock(sk);
	if (!r || !f || !tp || !r->told.writes)
		return 0;
	look(tp, &facts);
	/* Without the FIN, which takes a sequence number as well. */
	facts.write_seq = r->end_seq;
	r->told.flags |= AC_RESPONSE_CLOSED;
	ac_response_close(r, &facts, ac_before(facts.snd_nxt, facts.write_seq));
	tell(sk, f, r);
	ac_response_reset(r, &facts);
	return 0;
}

SEC("cgroup/setsockopt")
int option_set(struct bpf_sockopt *ctx)
{
	struct ac_response *r = ctx->sk ? bpf_sk_storage_get(&responses, ctx->sk, 0, 0) : NULL;
	struct option_call call;

	if (r && option_read(ctx, &call))
		ac_response_option(r, call.option, call.on, call.idle, bpf_ktime_get_ns());
	return option_pass(ctx);
}

char LICENSE[] SEC("license") = "GPL";
