/* SPDX-License-Identifier: GPL-2.0 */
/* The last segment of a socket's send queue: what the next write joins, if it can. For a locked socket with something
 * unsent. */
#pragma once
#include "tcp.bpf.h"

static __always_inline const struct sk_buff *queue_tail(struct sock *sk)
{
	return sk->sk_write_queue.prev;
}

/* MSG_EOR: nothing joins it. tcp_skb_can_collapse_to(). */
static __always_inline bool tail_ends_record(const struct sk_buff *tail)
{
	return BPF_CORE_READ_BITFIELD((struct tcp_skb_cb *)tail->cb, eor);
}

static __always_inline struct skb_shared_info *tail_info(const struct sk_buff *tail)
{
	return (void *)(tail->head + tail->end);
}

/* Its pages are the program's own, which waits to be told that they may be used again. */
static __always_inline bool tail_is_zerocopy(const struct sk_buff *tail)
{
	return BPF_CORE_READ(tail_info(tail), flags) & SKBFL_ZEROCOPY_ENABLE;
}

/* Fragments in use, of MAX_SKB_FRAGS (17, unless built otherwise). A write of 64 KiB that is copied takes 3, one by
 * pages 17. */
static __always_inline __u32 tail_fragments(const struct sk_buff *tail)
{
	return BPF_CORE_READ(tail_info(tail), nr_frags);
}
