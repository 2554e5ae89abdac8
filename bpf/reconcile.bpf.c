/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Existing flows: a pass over the sockets of one network namespace, each one locked, that puts flows on their wrapper
 * or takes them off, applies a changed policy, takes in flows older than the agent, and at the end gives all of them
 * back. control.reconcile says which.
 */
#include "flow.bpf.h"
#include <bpf/bpf_tracing.h>

static __always_inline bool in_scope(struct sock *sk, const struct ac_control *c)
{
	__u64 cgroups[CGROUP_DEPTH];
	__u32 level = c->cgroup_level;

	if (!level)
		return true;
	if (level >= CGROUP_DEPTH)
		return false;
	match_cgroups(sk, cgroups);
	/* 6.1 forgets the bound of a value that it keeps on the stack meanwhile: say it again where it is used. */
	asm volatile("%0 &= %1" : "+r"(level) : "i"(CGROUP_DEPTH - 1));
	return cgroups[level] == c->cgroup;
}

/* Off any wrapper, also one that an earlier agent left behind. */
static __always_inline void give_back(struct tcp_sock *tp, struct ac_flow *f)
{
	union cc_name name = cc_name_of(tp);
	__u32 wrapper = cc_find(&name, wrapper_names);
	struct ac_service_stats *stats;
	bool held = f && f->held_now;

	if (!wrapper || wrapper >= AC_WRAPPER_MAX)
		return;
	if (bpf_setsockopt(tp, SOL_TCP, TCP_CONGESTION, (void *)&kernel_names[wrapper], 16) || !f)
		return;
	f->wrapper = AC_WRAPPER_NONE;
	if (held)
		push_pending(tp);
	stats = stats_of(f);
	if (stats && f->flags & AC_FLOW_OPEN)
		ac_count(&stats->flows_returned, 1);
	if (f->flags & AC_FLOW_OPEN && event_wanted(AC_EVENT_FLOW_RETURNED))
		event_managed(sk_of(tp), f, AC_EVENT_FLOW_RETURNED, wrapper);
}

/* A new policy set is in force, or the program is another one. False if the flow is to be left alone from now on. */
static __always_inline bool rematch(struct sock *sk, struct ac_flow *f, struct ac_control *c)
{
	union found found;

	if (!flow_match(sk, f, c, false, &found))
		return false;
	flow_rejoin(sk, f, c);
	return true;
}

static __always_inline void tend(struct tcp_sock *tp, struct ac_flow *f, struct ac_control *c)
{
	bool may, stays;

	if (f->refusal == AC_REFUSAL_LOCK_HELD && !owner_is_avoided(cgroup_id(sk_of(tp)), c))
		f->refusal = AC_REFUSAL_NONE;
	/* What the gate itself refuses, on the wrapper, it allows again by itself. */
	may = flow_may_change(f) || f->refusal == AC_REFUSAL_STAMPED || f->refusal == AC_REFUSAL_RECORD ||
	      f->refusal == AC_REFUSAL_ZEROCOPY;
	stays = f->mode == AC_MODE_AUTOCORK && !ac_predictor_idle(&f->predictor) && may;

	if (f->mode == AC_MODE_OBSERVE && !flow_is_open(f, c))
		flow_unwatch(f, c);
	if (f->wrapper && !stays) {
		if (f->mode == AC_MODE_AUTOCORK)
			ac_predictor_rest(&f->predictor);
		give_back(tp, f);
		if (f->mode == AC_MODE_AUTOCORK && !f->wrapper && flow_may_change(f)) {
			flow_watch(f, c);
			flow_no_gain(f);
		}
	} else if (!f->wrapper && flow_wants_gate(f) && flow_may_change(f))
		flow_manage(tp, tp, f, c);
}

static const char nobody[AC_COMM_LEN];

SEC("iter/tcp")
int reconcile(struct bpf_iter__tcp *ctx)
{
	struct sock_common *skc = ctx->sk_common;
	struct ac_control *c = the_control();
	struct tcp_sock *tp;
	struct ac_flow *f;
	struct sock *sk;

	if (!skc || !c)
		return 0;
	tp = bpf_skc_to_tcp_sock(skc);
	if (!tp)
		return 0;
	sk = sk_of(tp);
	f = flow_find(tp);
	if (skc->skc_state == TCP_LISTEN) {
		/* Its program is unknown here. Listeners come first in every pass. */
		listener_note(sk, nobody, BPF_NOEXIST);
		return 0;
	}
	if (c->reconcile == AC_RECONCILE_GIVE_BACK) {
		give_back(tp, f);
		if (f)
			rto_apply(tp, tp, f, 0);
		return 0;
	}
	/* A wrapper that we did not put there is an earlier agent's. */
	if (!f || !f->wrapper)
		give_back(tp, f);
	if (skc->skc_state != TCP_ESTABLISHED && skc->skc_state != TCP_CLOSE_WAIT)
		return 0;
	if (!f || !(f->flags & AC_FLOW_OPEN)) {
		if (c->reconcile != AC_RECONCILE_ADOPT || !in_scope(sk, c))
			return 0;
		f = flow_find_or_add(tp);
		if (!f)
			return 0;
		bpf_get_socket_cookie(sk);
		if (!flow_open(tp, f, listener_find(sk) ? AC_SIDE_SERVER : AC_SIDE_CLIENT, c, true, NULL)) {
			flow_remove(f);
			return 0;
		}
		flow_place(tp, tp, f, c);
		ask_for_end(tp);
		return 0;
	}
	if (f->generation != (__u16)c->policy_generation) {
		bool observed = f->mode == AC_MODE_OBSERVE;

		if (!rematch(sk, f, c)) {
			give_back(tp, f);
			rto_apply(tp, tp, f, 0);
			flow_unwatch(f, c);
			flow_remove(f);
			return 0;
		}
		rto_apply(tp, tp, f, flow_rto_us(tp, f, c));
		if (observed && f->mode == AC_MODE_AUTOCORK)
			flow_watch_new(f, c);
	}
	tend(tp, f, c);
	return 0;
}

/* Who owns the sockets that exist already: walks every task's files and writes the names down before the first pass. */
SEC("iter/task_file")
int name_owners(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct ac_control *c = the_control();
	char comm[AC_COMM_LEN];
	struct tcp_sock *tp;
	struct socket *socket;
	struct ac_flow *f;
	struct sock *sk;

	if (!task || !file || !c)
		return 0;
	socket = bpf_sock_from_file(file);
	if (!socket || !socket->sk)
		return 0;
	tp = bpf_skc_to_tcp_sock(socket->sk);
	if (!tp || !in_scope(sk_of(tp), c))
		return 0;
	sk = sk_of(tp);
	__builtin_memset(comm, 0, sizeof(comm));
	bpf_probe_read_kernel_str(comm, sizeof(comm), task->group_leader->comm);
	switch (sk->__sk_common.skc_state) {
	case TCP_LISTEN:
		listener_note(sk, comm, BPF_NOEXIST);
		break;
	case TCP_SYN_SENT:
	case TCP_ESTABLISHED:
	case TCP_CLOSE_WAIT:
		/* Not destroyed before its file, which we hold. */
		f = flow_find_or_add(tp);
		if (f && !(f->flags & (AC_FLOW_OPEN | AC_FLOW_COMM)))
			flow_name(f, comm);
	}
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
