/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* TCP segments by hand, in IPv4 frames with right checksums: a peer of the engine that keeps no rule. */
#pragma once
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <netinet/ip.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "fastpath/checksum.h"

enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16, URG = 32 };

struct segment {
	uint16_t source, dest;
	uint32_t seq, ack;
	uint8_t flags;
	uint16_t window, urgent;
	bool stamped;
	uint32_t ts_value, ts_echo;
	uint8_t options[40]; /* more of them */
	uint8_t option_len;  /* a multiple of 4 */
	uint8_t data[1500];
	uint16_t len;
};

struct tcp_wire {
	uint16_t source, dest;
	uint32_t seq, ack;
	uint8_t offset, flags;
	uint16_t window, check, urgent;
};

/* The frame's length. */
static inline uint32_t segment_frame(uint8_t *frame, const struct segment *s, const char *from, const char *to)
{
	uint8_t options[52], option_len = 0;
	struct ethhdr ethernet = { .h_dest = { 2, 2, 2, 2, 2, 2 },
				   .h_source = { 4, 4, 4, 4, 4, 4 },
				   .h_proto = htons(ETH_P_IP) };
	struct iphdr ip = { .version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_TCP };
	struct tcp_wire tcp = {
		htons(s->source), htons(s->dest), htonl(s->seq), htonl(s->ack), 0, s->flags, htons(s->window), 0,
		htons(s->urgent)
	};

	if (s->stamped) {
		uint32_t stamps[3] = { htonl(0x0101080a), htonl(s->ts_value), htonl(s->ts_echo) };
		memcpy(options, stamps, sizeof(stamps));
		option_len = sizeof(stamps);
	}
	memcpy(options + option_len, s->options, s->option_len);
	option_len += s->option_len;
	if (option_len > 40)
		option_len = 40;
	tcp.offset = (uint8_t)((sizeof(tcp) + option_len) / 4 << 4);
	uint32_t size = sizeof(tcp) + option_len + s->len;
	ip.tot_len = htons((uint16_t)(sizeof(ip) + size));
	inet_pton(AF_INET, from, &ip.saddr);
	inet_pton(AF_INET, to, &ip.daddr);
	ip.check = ~sum_fold(sum_bytes(&ip, sizeof(ip), 0));
	memcpy(frame, &ethernet, sizeof(ethernet));
	memcpy(frame + ETH_HLEN, &ip, sizeof(ip));
	uint8_t *at = frame + ETH_HLEN + sizeof(ip);
	memcpy(at, &tcp, sizeof(tcp));
	memcpy(at + sizeof(tcp), options, option_len);
	memcpy(at + sizeof(tcp) + option_len, s->data, s->len);
	tcp.check = ~sum_fold(sum_bytes(at, size, sum_bytes(&ip.saddr, 8, (uint64_t)htons(IPPROTO_TCP) + htonl(size))));
	memcpy(at, &tcp, sizeof(tcp));
	return ETH_HLEN + sizeof(ip) + size;
}

/* Reads what the engine sent. False: its checksums are wrong. */
static inline bool segment_read(const uint8_t *frame, uint32_t len, struct segment *s)
{
	struct iphdr ip;
	struct tcp_wire tcp;
	const uint8_t *at = frame + ETH_HLEN + sizeof(ip);

	memset(s, 0, sizeof(*s));
	memcpy(&ip, frame + ETH_HLEN, sizeof(ip));
	memcpy(&tcp, at, sizeof(tcp));
	uint32_t size = ntohs(ip.tot_len) - sizeof(ip), header = (tcp.offset >> 4) * 4u;
	if (len != ETH_HLEN + sizeof(ip) + size || sum_fold(sum_bytes(&ip, sizeof(ip), 0)) != 0xffff ||
	    sum_fold(sum_bytes(at, size, sum_bytes(&ip.saddr, 8, (uint64_t)htons(IPPROTO_TCP) + htonl(size)))) !=
		    0xffff)
		return false;
	s->source = ntohs(tcp.source);
	s->dest = ntohs(tcp.dest);
	s->seq = ntohl(tcp.seq);
	s->ack = ntohl(tcp.ack);
	s->flags = tcp.flags;
	s->window = ntohs(tcp.window);
	s->len = (uint16_t)(size - header);
	s->option_len = (uint8_t)(header - sizeof(tcp));
	memcpy(s->options, at + sizeof(tcp), s->option_len);
	memcpy(s->data, at + header, s->len);
	for (unsigned i = 0; i + 10 <= s->option_len; i += s->options[i] == 1 ? 1 :
							   s->options[i + 1]  ? s->options[i + 1] :
										40)
		if (s->options[i] == 8) {
			uint32_t stamps[2];
			memcpy(stamps, s->options + i + 2, sizeof(stamps));
			s->stamped = true;
			s->ts_value = ntohl(stamps[0]);
			s->ts_echo = ntohl(stamps[1]);
			break;
		}
	return true;
}
