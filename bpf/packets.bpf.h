/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Small packets of observed flows, both directions. How many packets and bytes there are the socket knows by itself;
 * only their sizes need a look at each one. A GSO or GRO packet counts as what goes over the wire: full segments and a
 * last one that may be small.
 */
#pragma once
#include "maps.bpf.h"
#include "tcp.bpf.h"

#define TCP_HEADER_MIN 20
#define IPV6_HEADER 40

/* Payload of the last segment in the packet, 0 if it is not TCP. IPv6 extension headers are rare enough to be passed
 * over. */
static __always_inline __u32 packet_tail(struct __sk_buff *skb)
{
	__u8 *ip = (void *)(long)skb->data, *end = (void *)(long)skb->data_end, *tcp;
	__u32 headers, payload;

	if (ip + IPV6_HEADER > end)
		return 0;
	if (*ip >> 4 == 4) {
		if (ip[9] != IPPROTO_TCP)
			return 0;
		headers = (*ip & 15) * 4;
	} else {
		if (ip[6] != IPPROTO_TCP)
			return 0;
		headers = IPV6_HEADER;
	}
	tcp = ip + headers;
	if (tcp + TCP_HEADER_MIN > end)
		return 0;
	headers += (tcp[12] >> 4) * 4;
	payload = skb->len > headers ? skb->len - headers : 0;
	if (skb->gso_size && payload > skb->gso_size)
		payload %= skb->gso_size;
	return payload;
}

static __always_inline int on_packet(struct __sk_buff *skb, bool out)
{
	__u32 payload = packet_tail(skb);
	struct ac_service_stats *stats;
	struct bpf_sock *sk = skb->sk;
	struct ac_flow *f;

	if (!payload || payload >= AC_SMALL_PACKET || !sk)
		return 1;
	sk = bpf_sk_fullsock(sk);
	f = sk ? flow_find(sk) : NULL;
	if (!f || !(f->flags & AC_FLOW_OPEN))
		return 1;
	stats = stats_of(f);
	if (stats)
		ac_count(out ? &stats->small_out : &stats->small_in, f->weight);
	return 1;
}

SEC("cgroup_skb/egress")
int packet_out(struct __sk_buff *skb)
{
	return on_packet(skb, true);
}

SEC("cgroup_skb/ingress")
int packet_in(struct __sk_buff *skb)
{
	return on_packet(skb, false);
}
