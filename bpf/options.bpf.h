/* SPDX-License-Identifier: GPL-2.0 */
/* setsockopt() calls by option, and those that change nothing. */
#pragma once
#include "maps.bpf.h"
#include "option.bpf.h"

static __always_inline void option_count(struct bpf_sock *sk, const struct option_call *call)
{
	/* One that is connected and has no record is left alone. */
	struct ac_flow *f = sk->state == TCP_CLOSE ? flow_find_or_add(sk) : flow_find(sk);
	struct ac_service_stats *stats;
	__u32 option = call->option;

	/* A socket that was a flow may become another: connect() starts its record anew. */
	if (!f || f->flags & AC_FLOW_LEFT)
		return;
	if (!(f->flags & AC_FLOW_OPEN)) {
		/* Whose call it is will be known once the flow is open. */
		if (option < AC_OPTION_MAX && f->early.calls[option] < 255) {
			f->early.calls[option]++;
			f->early.idle[option] += call->idle;
		}
		return;
	}
	stats = stats_of(f);
	if (!stats)
		return;
	ac_add_at(stats->option_calls, AC_OPTION_MAX, option, f->weight);
	if (call->idle)
		ac_add_at(stats->option_idle, AC_OPTION_MAX, option, f->weight);
}

/* The release process is the agent's child. What runs here is chosen by the socket's control group, not by the
 * caller's. */
static __always_inline bool option_is_ours(void)
{
	struct task_struct *task = (void *)bpf_get_current_task_btf();
	const struct ac_control *c = the_control();

	return c && (__u32)task->real_parent->tgid == c->agent;
}

SEC("cgroup/setsockopt")
int option_set(struct bpf_sockopt *ctx)
{
	struct option_call call;

	if (option_read(ctx, &call) && !option_is_ours())
		option_count(ctx->sk, &call);
	return option_pass(ctx);
}
