/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What is below TCP: Ethernet and IP headers, checksums. In: whole, unfragmented TCP segments for a local address,
 * checked, go to tcp_input(); everything else was not steered here and is dropped (fragments, ICMP and neighbour
 * discovery are the kernel's). Out: lwIP's segment is copied into a frame of the ring.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/ipv6.h>
#include <netinet/ip.h>
#include <stdlib.h>
#include <string.h>

#include "endpoint/tcp_inside.h"
#include "fastpath/checksum.h"
#include "lwip/ip.h"
#include "lwip/nd6.h"
#include "lwip/netif.h"

/* A received frame as lwIP sees it: it goes back to the ring when lwIP frees it. */
struct rx_frame {
	struct pbuf_custom custom; /* first: lwIP hands it back */
	struct ring_frame frame;
	struct rx_frame *next;
};

struct ip_globals ip_data;
const ip_addr_t ip_addr_any_type = IPADDR_ANY_TYPE_INIT;
struct netif engine_netif;

static void rx_free(struct pbuf *pbuf)
{
	struct rx_frame *rx = (struct rx_frame *)pbuf;
	struct engine *engine = engine_current;

	ring_release(engine->ring, &rx->frame);
	rx->next = engine->rx_free;
	engine->rx_free = rx;
	engine->rx_held--;
}

int frame_setup(struct engine *engine)
{
	/* Half of the frames can wait in lwIP; beyond that, segments are copied (frame_input). */
	uint32_t count = engine->ring->rx_frames / 2 + 1;
	struct rx_frame *all = calloc(count, sizeof(*all));

	if (!all)
		return -ENOMEM;
	engine->rx_all = all;
	ip_data.current_netif = ip_data.current_input_netif = &engine_netif;
	for (uint32_t i = 0; i < count; i++) {
		all[i].custom.custom_free_function = rx_free;
		all[i].next = engine->rx_free;
		engine->rx_free = &all[i];
	}
	return 0;
}

void frame_teardown(struct engine *engine)
{
	free(engine->rx_all);
}

static bool is_local(const struct engine *engine, const ip_addr_t *address)
{
	for (unsigned i = 0; i < engine->address_count; i++)
		if (ip_addr_cmp(&engine->addresses[i], address))
			return true;
	return false;
}

static uint64_t pseudo_sum(const void *addresses, size_t size, uint32_t len)
{
	return sum_bytes(addresses, size, (uint64_t)htons(IPPROTO_TCP) + htonl(len));
}

/* The TCP segment in an IPv4 packet; NULL: not one that can be taken. */
static uint8_t *open_ip4(uint8_t *at, uint32_t room, uint32_t *len, uint64_t *sum)
{
	struct iphdr ip;
	uint32_t header, total;

	if (room < sizeof(ip))
		return NULL;
	memcpy(&ip, at, sizeof(ip));
	header = ip.ihl * 4u;
	total = ntohs(ip.tot_len);
	if (ip.version != 4 || header < sizeof(ip) || total < header || total > room || ip.protocol != IPPROTO_TCP ||
	    (ip.frag_off & htons(0x3fff)) || sum_fold(sum_bytes(at, header, 0)) != 0xffff)
		return NULL;
	*len = total - header;
	*sum = pseudo_sum(at + offsetof(struct iphdr, saddr), 8, *len);
	ip_addr_set_ip4_u32(&ip_data.current_iphdr_src, ip.saddr);
	ip_addr_set_ip4_u32(&ip_data.current_iphdr_dest, ip.daddr);
	return at + header;
}

static uint8_t *open_ip6(uint8_t *at, uint32_t room, uint32_t *len, uint64_t *sum)
{
	struct ipv6hdr ip;

	if (room < sizeof(ip))
		return NULL;
	memcpy(&ip, at, sizeof(ip));
	*len = ntohs(ip.payload_len);
	if (ip.version != 6 || *len > room - sizeof(ip) || ip.nexthdr != IPPROTO_TCP)
		return NULL;
	*sum = pseudo_sum(at + offsetof(struct ipv6hdr, saddr), 32, *len);
	memset(&ip_data.current_iphdr_src, 0, sizeof(ip_addr_t));
	memset(&ip_data.current_iphdr_dest, 0, sizeof(ip_addr_t));
	memcpy(ip_2_ip6(&ip_data.current_iphdr_src)->addr, &ip.saddr, 16);
	memcpy(ip_2_ip6(&ip_data.current_iphdr_dest)->addr, &ip.daddr, 16);
	IP_SET_TYPE(&ip_data.current_iphdr_src, IPADDR_TYPE_V6);
	IP_SET_TYPE(&ip_data.current_iphdr_dest, IPADDR_TYPE_V6);
	return at + sizeof(ip);
}

/* A source that can be no peer: it would get an answer from us. */
static bool is_bad_source(const ip_addr_t *source)
{
	if (ip_addr_isany(source) || ip_addr_ismulticast(source) || ip_addr_isloopback(source))
		return true;
	return IP_IS_V4(source) && ip_2_ip4(source)->addr == htonl(INADDR_BROADCAST);
}

void frame_input(struct engine *engine, const struct ring_frame *frame)
{
	struct engine_stats *stats = &engine->stats;
	struct ethhdr ethernet;
	uint8_t *tcp = NULL;
	uint32_t len = 0;
	uint64_t sum = 0;
	struct tcphdr header;
	struct pbuf *pbuf;

	if (frame->len >= sizeof(ethernet)) {
		memcpy(&ethernet, frame->data, sizeof(ethernet));
		if (ethernet.h_proto == htons(ETH_P_IP))
			tcp = open_ip4(frame->data + ETH_HLEN, frame->len - ETH_HLEN, &len, &sum);
		else if (ethernet.h_proto == htons(ETH_P_IPV6))
			tcp = open_ip6(frame->data + ETH_HLEN, frame->len - ETH_HLEN, &len, &sum);
	}
	if (!tcp || len < TCP_HLEN || is_bad_source(&ip_data.current_iphdr_src)) {
		stats->bad_frame++;
		goto drop;
	}
	if (!is_local(engine, &ip_data.current_iphdr_dest)) {
		stats->not_ours++;
		goto drop;
	}
	if (sum_fold(sum_bytes(tcp, len, sum)) != 0xffff) {
		stats->bad_checksum++;
		goto drop;
	}
	memcpy(&header, tcp, sizeof(header));
	if (moved_is(engine, &ip_data.current_iphdr_dest, ntohs(header.dest), &ip_data.current_iphdr_src,
		     ntohs(header.source), header.syn)) {
		stats->moved++;
		goto drop;
	}
	neighbour_learn(engine, &ip_data.current_iphdr_src, ethernet.h_source);
	stats->segments_in++;

	/* A segment that waits for one before it keeps its frame; no more than a quarter of the ring's may wait. */
	if (engine->rx_free && engine->rx_held < engine->ring->rx_frames / 4) {
		struct rx_frame *rx = engine->rx_free;
		engine->rx_free = rx->next;
		engine->rx_held++;
		rx->frame = *frame;
		pbuf = pbuf_alloced_custom(PBUF_RAW, (u16_t)len, PBUF_REF, &rx->custom, tcp, (u16_t)len);
		tcp_input(pbuf, &engine_netif);
		return;
	}
	pbuf = pbuf_alloc(PBUF_RAW, (u16_t)len, PBUF_RAM);
	if (pbuf)
		memcpy(pbuf->payload, tcp, len);
	else
		stats->no_memory++;
	ring_release(engine->ring, frame);
	if (pbuf)
		tcp_input(pbuf, &engine_netif);
	return;
drop:
	ring_release(engine->ring, frame);
}

static uint8_t *reserve(struct engine *engine)
{
	uint8_t *frame = ring_reserve(engine->ring);

	if (!frame) {
		engine->last = NULL;
		ring_flush(engine->ring);
		frame = ring_reserve(engine->ring);
	}
	if (!frame)
		engine->tx_blocked = true;
	return frame;
}

/* The headers' place is known: copies the segment behind them and fills in its checksum. */
static void put_segment(uint8_t *to, const struct pbuf *p, uint64_t sum)
{
	uint8_t *at = to;
	uint16_t check;

	for (const struct pbuf *q = p; q; q = q->next) {
		memcpy(at, q->payload, q->len);
		at += q->len;
	}
	memset(to + offsetof(struct tcphdr, check), 0, sizeof(check));
	check = ~sum_fold(sum_bytes(to, p->tot_len, sum));
	memcpy(to + offsetof(struct tcphdr, check), &check, sizeof(check));
}

static err_t start_frame(struct engine *engine, const ip_addr_t *dest, uint16_t protocol, uint32_t size,
			 uint8_t **frame)
{
	struct ethhdr ethernet = { .h_proto = htons(protocol) };

	if (size > engine->ring->room)
		return ERR_BUF;
	if (!neighbour_find(engine, dest, ethernet.h_dest)) {
		engine->stats.no_neighbour++;
		return ERR_OK; /* lost on the way, as with the kernel: retransmissions try again */
	}
	*frame = reserve(engine);
	if (!*frame)
		return ERR_BUF;
	memcpy(ethernet.h_source, engine->mac, 6);
	memcpy(*frame, &ethernet, sizeof(ethernet));
	return ERR_OK;
}

static err_t end_frame(struct engine *engine, uint32_t size)
{
	ring_submit(engine->ring, size);
	if (!engine->submitted)
		engine->submitted_at = engine->now;
	engine->submitted = true;
	engine->stats.segments_out++;
	return ERR_OK;
}

err_t ip4_output_if(struct pbuf *p, const ip4_addr_t *src, const ip4_addr_t *dest, u8_t ttl, u8_t tos, u8_t proto,
		    struct netif *netif)
{
	struct engine *engine = engine_current;
	uint32_t size = ETH_HLEN + sizeof(struct iphdr) + p->tot_len;
	struct iphdr ip = { .version = 4, .ihl = 5, .tos = tos, .ttl = ttl, .protocol = proto };
	uint8_t *frame = NULL;
	ip_addr_t to = { 0 };
	err_t err;

	ip_addr_set_ip4_u32(&to, dest->addr);
	err = start_frame(engine, &to, ETH_P_IP, size, &frame);
	if (err != ERR_OK || !frame)
		return err;
	ip.tot_len = htons((uint16_t)(sizeof(ip) + p->tot_len));
	ip.id = htons(engine->ip_id++);
	ip.frag_off = htons(IP_DF);
	ip.saddr = src->addr;
	ip.daddr = dest->addr;
	ip.check = ~sum_fold(sum_bytes(&ip, sizeof(ip), 0));
	memcpy(frame + ETH_HLEN, &ip, sizeof(ip));
	put_segment(frame + ETH_HLEN + sizeof(ip), p, pseudo_sum(&ip.saddr, 8, p->tot_len));
	return end_frame(engine, size);
}

err_t ip6_output_if(struct pbuf *p, const ip6_addr_t *src, const ip6_addr_t *dest, u8_t hl, u8_t tc, u8_t nexth,
		    struct netif *netif)
{
	struct engine *engine = engine_current;
	struct ipv6hdr ip = { .version = 6, .priority = tc >> 4, .nexthdr = nexth, .hop_limit = hl };
	uint32_t size = ETH_HLEN + sizeof(ip) + p->tot_len;
	uint8_t *frame = NULL;
	ip_addr_t to = { 0 };
	err_t err;

	memcpy(ip_2_ip6(&to)->addr, dest->addr, 16);
	IP_SET_TYPE_VAL(to, IPADDR_TYPE_V6);
	err = start_frame(engine, &to, ETH_P_IPV6, size, &frame);
	if (err != ERR_OK || !frame)
		return err;
	ip.payload_len = htons(p->tot_len);
	ip.flow_lbl[0] = (uint8_t)(tc << 4);
	memcpy(&ip.saddr, src->addr, 16);
	memcpy(&ip.daddr, dest->addr, 16);
	memcpy(frame + ETH_HLEN, &ip, sizeof(ip));
	put_segment(frame + ETH_HLEN + sizeof(ip), p, pseudo_sum(&ip.saddr, 32, p->tot_len));
	return end_frame(engine, size);
}

/* There is one interface: lwIP's routing has nothing to decide. */
struct netif *ip4_route(const ip4_addr_t *dest)
{
	return &engine_netif;
}

struct netif *ip6_route(const ip6_addr_t *src, const ip6_addr_t *dest)
{
	return &engine_netif;
}

struct netif *netif_get_by_index(u8_t index)
{
	return &engine_netif;
}

u16_t nd6_get_destination_mtu(const ip6_addr_t *dest, struct netif *netif)
{
	return engine_netif.mtu;
}

const ip_addr_t *ip6_select_source_address(struct netif *netif, const ip6_addr_t *dest)
{
	return NULL; /* the caller of engine_connect() gives the address */
}
