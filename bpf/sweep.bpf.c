/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The sweeper: ends wrong holds. A pass over one network namespace, run only when the wheel or a waiting program asks
 * for it. Nothing on the receive or poll path may release; an iterator may, because it runs with the socket locked.
 */
#include "maps.bpf.h"
#include "tcp.bpf.h"

SEC("iter/tcp")
int sweep(struct bpf_iter__tcp *ctx)
{
	struct sock_common *skc = ctx->sk_common;
	struct tcp_sock *tp;
	struct ac_flow *f;

	if (!skc)
		return 0;
	tp = bpf_skc_to_tcp_sock(skc);
	if (!tp)
		return 0;
	f = flow_find(tp);
	if (!f || !(f->held_now || f->flags & AC_FLOW_MARKED))
		return 0;
	if (!(f->flags & AC_FLOW_MARKED)) {
		if (now_us() - f->hold_us < f->hold_limit_us)
			return 0;
		f->release_reason = AC_REASON_DEADLINE;
		f->flags |= AC_FLOW_MARKED;
	}
	push_pending(tp);
	/* It has left its wrapper: no gate takes the mark off. */
	if (!f->held_now)
		f->flags &= ~AC_FLOW_MARKED;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
