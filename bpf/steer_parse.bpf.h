/* SPDX-License-Identifier: GPL-2.0 */
/* From a frame to what steering asks about it: Ethernet, VLAN tags, IPv4, IPv6, TCP, UDP, ICMP echo. */
#pragma once
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <autocork/steer.h>

#define STEER_VLANS 2	   /* 802.1Q, or 802.1ad around it */
#define STEER_EXTENSIONS 8 /* IPv6 extension headers; a longer chain goes to the kernel as malformed */

#define STEER_TCP_FIN 0x01
#define STEER_TCP_SYN 0x02
#define STEER_TCP_RST 0x04
#define STEER_TCP_ACK 0x10

/* RFC 8200, 4302, 6275, 7401, 5533; linux/in6.h cannot be included next to linux/in.h everywhere. */
enum {
	STEER_NEXT_HOP = 0,
	STEER_NEXT_ROUTING = 43,
	STEER_NEXT_FRAGMENT = 44,
	STEER_NEXT_AH = 51,
	STEER_NEXT_ICMPV6 = 58,
	STEER_NEXT_DESTINATION = 60,
	STEER_NEXT_MOBILITY = 135,
	STEER_NEXT_HIP = 139,
	STEER_NEXT_SHIM6 = 140,
};

/* RFC 792, 4443; linux/icmp.h needs the C library's headers. */
enum {
	STEER_ICMP_ECHO_REPLY = 0,
	STEER_ICMP_ECHO = 8,
	STEER_ICMPV6_ECHO = 128,
	STEER_ICMPV6_ECHO_REPLY = 129,
};

struct steer_packet {
	struct steer_flow_key key;
	__u32 protocol; /* enum steer_protocol */
	__u32 flags;	/* TCP's; for ICMP: 0 = echo request, 1 = echo reply */
	__u32 queue;
	__u32 bytes;			    /* of the frame */
	__u32 version;			    /* 4 or 6 */
	__u32 sequence, acknowledged, data; /* TCP: the numbers, and bytes of data */
	__u64 station;			    /* the link address it is for, in the first 6 bytes */
};

struct steer_vlan {
	__be16 tag;
	__be16 inside;
};

struct steer_icmp {
	__u8 type;
	__u8 code;
	__be16 checksum;
	__be32 rest;
};

struct steer_extension {
	__u8 next;
	__u8 length;
	__u16 data;
};

/* The transport header, with `length` bytes of it and its payload announced by the IP header. 0, or the verdict. */
static __always_inline __u32 steer_parse_transport(struct steer_packet *packet, __u32 next, void *at, void *end,
						   __u32 length)
{
	if (next == IPPROTO_TCP) {
		struct tcphdr *tcp = at;

		if ((void *)(tcp + 1) > end || tcp->doff < 5 || tcp->doff * 4u > length)
			return STEER_VERDICT_MALFORMED;
		packet->protocol = STEER_TCP;
		packet->flags = ((__u8 *)tcp)[13];
		packet->sequence = bpf_ntohl(tcp->seq);
		packet->acknowledged = bpf_ntohl(tcp->ack_seq);
		packet->data = length - tcp->doff * 4u;
		packet->key.remote_port = tcp->source;
		packet->key.local_port = tcp->dest;
		return 0;
	}
	if (next == IPPROTO_UDP) {
		struct udphdr *udp = at;

		if ((void *)(udp + 1) > end || bpf_ntohs(udp->len) < sizeof(*udp) || bpf_ntohs(udp->len) > length)
			return STEER_VERDICT_MALFORMED;
		packet->protocol = STEER_UDP;
		packet->key.remote_port = udp->source;
		packet->key.local_port = udp->dest;
		return 0;
	}
	if (next == IPPROTO_ICMP || next == STEER_NEXT_ICMPV6) {
		struct steer_icmp *icmp = at;
		__u8 request = next == IPPROTO_ICMP ? STEER_ICMP_ECHO : STEER_ICMPV6_ECHO;
		__u8 reply = next == IPPROTO_ICMP ? STEER_ICMP_ECHO_REPLY : STEER_ICMPV6_ECHO_REPLY;

		if ((void *)(icmp + 1) > end || length < sizeof(*icmp))
			return STEER_VERDICT_MALFORMED;
		if (icmp->type != request && icmp->type != reply)
			return STEER_VERDICT_OTHER;
		packet->protocol = STEER_ICMP;
		packet->flags = icmp->type == reply;
		return 0;
	}
	return STEER_VERDICT_OTHER;
}

static __always_inline void steer_map_ipv4(__u8 *to, __be32 address)
{
	__builtin_memset(to, 0, 10);
	to[10] = to[11] = 0xff;
	__builtin_memcpy(to + 12, &address, 4);
}

/* A length that may be added to a packet pointer: the verifier of 6.12 and before forgets its bounds at a byte swap. */
static __always_inline __u32 steer_length(__be16 field)
{
	__u32 length = bpf_ntohs(field);

	asm volatile("%0 &= 0xffff" : "+r"(length));
	return length;
}

static __always_inline __u32 steer_parse_ipv4(struct steer_packet *packet, void *at, void *end)
{
	struct iphdr *ip = at;
	__u32 header, total;

	if ((void *)(ip + 1) > end)
		return STEER_VERDICT_MALFORMED;
	header = ip->ihl * 4;
	total = steer_length(ip->tot_len);
	if (ip->version != 4 || header < sizeof(*ip) || total < header || at + total > end)
		return STEER_VERDICT_MALFORMED;
	if (ip->frag_off & bpf_htons(0x3fff)) /* more fragments, or an offset */
		return STEER_VERDICT_FRAGMENT;
	if (ip->protocol == STEER_NEXT_ICMPV6)
		return STEER_VERDICT_OTHER;
	packet->version = 4;
	steer_map_ipv4(packet->key.remote, ip->saddr);
	steer_map_ipv4(packet->key.local, ip->daddr);
	return steer_parse_transport(packet, ip->protocol, at + header, end, total - header);
}

static __always_inline __u32 steer_parse_ipv6(struct steer_packet *packet, void *at, void *end)
{
	struct ipv6hdr *ip = at;
	__u32 length, step, i, next;

	if ((void *)(ip + 1) > end || ip->version != 6)
		return STEER_VERDICT_MALFORMED;
	length = steer_length(ip->payload_len); /* a jumbogram says 0 here: too short for any transport header below */
	if (at + sizeof(*ip) + length > end)
		return STEER_VERDICT_MALFORMED;
	packet->version = 6;
	__builtin_memcpy(packet->key.remote, &ip->saddr, 16);
	__builtin_memcpy(packet->key.local, &ip->daddr, 16);
	next = ip->nexthdr;
	at += sizeof(*ip);

	for (i = 0; i <= STEER_EXTENSIONS; i++) {
		struct steer_extension *extension = at;

		switch (next) {
		case STEER_NEXT_FRAGMENT:
			return STEER_VERDICT_FRAGMENT;
		case STEER_NEXT_HOP:
		case STEER_NEXT_ROUTING:
		case STEER_NEXT_DESTINATION:
		case STEER_NEXT_AH:
		case STEER_NEXT_MOBILITY:
		case STEER_NEXT_HIP:
		case STEER_NEXT_SHIM6:
			break;
		case IPPROTO_ICMP:
			return STEER_VERDICT_OTHER;
		default:
			return steer_parse_transport(packet, next, at, end, length);
		}
		if ((void *)(extension + 1) > end)
			return STEER_VERDICT_MALFORMED;
		step = next == STEER_NEXT_AH ? (extension->length + 2) * 4 : (extension->length + 1) * 8;
		if (step > length)
			return STEER_VERDICT_MALFORMED;
		next = extension->next;
		length -= step;
		at += step;
	}
	return STEER_VERDICT_MALFORMED;
}

/* Fills *packet, which must be zeroed. Returns 0, or the verdict of a packet that no rule can name. */
static __always_inline __u32 steer_parse(struct xdp_md *context, struct steer_packet *packet)
{
	void *at = (void *)(long)context->data, *end = (void *)(long)context->data_end;
	struct ethhdr *ethernet = at;
	__be16 type;
	__u32 i;

	packet->queue = context->rx_queue_index;
	packet->bytes = end - at;
	if ((void *)(ethernet + 1) > end)
		return STEER_VERDICT_MALFORMED;
	__builtin_memcpy(&packet->station, ethernet->h_dest, ETH_ALEN);
	type = ethernet->h_proto;
	at = ethernet + 1;
#pragma unroll
	for (i = 0; i < STEER_VLANS; i++) {
		struct steer_vlan *vlan = at;

		if (type != bpf_htons(ETH_P_8021Q) && type != bpf_htons(ETH_P_8021AD))
			break;
		if ((void *)(vlan + 1) > end)
			return STEER_VERDICT_MALFORMED;
		packet->key.vlan = packet->key.vlan << 16 | (bpf_ntohs(vlan->tag) & 0x0fff);
		type = vlan->inside;
		at = vlan + 1;
	}
	if (type == bpf_htons(ETH_P_IP))
		return steer_parse_ipv4(packet, at, end);
	if (type == bpf_htons(ETH_P_IPV6))
		return steer_parse_ipv6(packet, at, end);
	return STEER_VERDICT_NOT_IP;
}
