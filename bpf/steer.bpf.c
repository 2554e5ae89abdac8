// SPDX-License-Identifier: GPL-2.0
/*
 * The steering program: hands the flows that a policy names to AF_XDP sockets, and leaves all else to the kernel.
 *
 * Its name, the map xsks_map and the version in section xdp_metadata are what libxdp looks for: a program that opens
 * AF_XDP sockets on the interface then adopts this one instead of attaching its own (libxdp 1.2 and newer, so DPDK's
 * AF_XDP driver too). Maps are pinned by name, so that DPDK's xdp_prog= can load this very object and share the tables
 * with the agent.
 */
#include <stdbool.h>
#include "steer_parse.bpf.h"

#define STEER_MAP(map_name, map_type, key_type, value_type, entries, flags) \
	struct {                                                            \
		__uint(type, map_type);                                     \
		__type(key, key_type);                                      \
		__type(value, value_type);                                  \
		__uint(max_entries, entries);                               \
		__uint(map_flags, flags);                                   \
		__uint(pinning, LIBBPF_PIN_BY_NAME);                        \
	} map_name SEC(".maps")

STEER_MAP(steer_control, BPF_MAP_TYPE_ARRAY, __u32, struct steer_control, 1, 0);
STEER_MAP(steer_ports, BPF_MAP_TYPE_ARRAY, __u32, struct steer_port, 2 * STEER_PORTS, 0);
STEER_MAP(steer_peers, BPF_MAP_TYPE_LPM_TRIE, struct steer_peer_key, __u32, STEER_PEERS_MAX, BPF_F_NO_PREALLOC);
STEER_MAP(steer_rules, BPF_MAP_TYPE_ARRAY, __u32, struct steer_rule, STEER_RULES_MAX, 0);
STEER_MAP(steer_syns, BPF_MAP_TYPE_LRU_HASH, struct steer_flow_key, struct steer_flow, STEER_SYNS_MAX, 0);
STEER_MAP(steer_flows, BPF_MAP_TYPE_LRU_HASH, struct steer_flow_key, struct steer_flow, STEER_FLOWS_MAX, 0);
STEER_MAP(steer_counts, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, __u64, STEER_VERDICT_MAX, 0);
STEER_MAP(steer_hits, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, struct steer_hits, STEER_RULES_MAX, 0);
STEER_MAP(steer_events, BPF_MAP_TYPE_ARRAY, __u32, struct steer_events, STEER_RULES_MAX, 0);
STEER_MAP(steer_listeners, BPF_MAP_TYPE_HASH, __u32, __u32, STEER_LISTENERS_MAX, 0);
STEER_MAP(steer_seats, BPF_MAP_TYPE_ARRAY, __u32, __u32, STEER_QUEUES_MAX, 0); /* filled by steer_presence */

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(key_size, 4);
	__uint(value_size, 4);
	__uint(max_entries, STEER_QUEUES_MAX);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} xsks_map SEC(".maps");

/* libxdp reads the version of the adoption protocol from the BTF of this variable. */
__uint(xsk_prog_version, 1) SEC("xdp_metadata");

static __always_inline void steer_fell_back(__u32 rule)
{
	struct steer_events *event = bpf_map_lookup_elem(&steer_events, &rule);

	if (event)
		__sync_fetch_and_add(&event->no_consumer, 1);
}

/* Hands the packet to whoever has the queue's socket, or to the kernel. */
static __always_inline __u32 steer_redirect(const struct steer_packet *packet, __u32 rule, int *action)
{
	struct steer_hits *hits;

	*action = bpf_redirect_map(&xsks_map, packet->queue, XDP_PASS);
	if (*action != XDP_REDIRECT) {
		steer_fell_back(rule);
		return STEER_VERDICT_NO_CONSUMER;
	}
	hits = bpf_map_lookup_elem(&steer_hits, &rule);
	if (hits) {
		hits->packets++;
		hits->bytes += packet->bytes;
	}
	return STEER_VERDICT_STEERED;
}

/* The rule behind a slot, or 0. */
static __always_inline __u32 steer_match(__u32 slot, const struct steer_packet *packet)
{
	struct steer_peer_key key = { .prefixlen = 32 + 128, .group = slot & STEER_SLOT_NUMBER };
	__u32 *rule;

	if (!(slot & STEER_SLOT_GROUP))
		return slot & STEER_SLOT_NUMBER;
	__builtin_memcpy(key.peer, packet->key.remote, sizeof(key.peer));
	rule = bpf_map_lookup_elem(&steer_peers, &key);
	return rule ? *rule : 0;
}

static __always_inline bool steer_wants_queue(const struct steer_rule *rule, __u32 queue)
{
	return queue < STEER_QUEUES_MAX && rule->queues[queue / 64 % (STEER_QUEUES_MAX / 64)] & 1ull << queue % 64;
}

/* Packets without a connection: the rule alone decides. */
static __always_inline __u32 steer_by_rule(const struct steer_packet *packet, __u32 slot, int *action)
{
	__u32 number = steer_match(slot, packet);
	struct steer_rule *rule = bpf_map_lookup_elem(&steer_rules, &number);

	if (!number || !rule)
		return STEER_VERDICT_UNNAMED;
	if (!steer_wants_queue(rule, packet->queue))
		return STEER_VERDICT_QUEUE;
	return steer_redirect(packet, number, action);
}

/*
 * Somebody takes new connections of the rule on this queue. An endpoint's socket is there for the ports that its program
 * listens on, so that a worker that drains, or serves other ports, gets no new connections.
 */
static __always_inline bool steer_is_served(const struct steer_rule *rule, const struct steer_packet *packet)
{
	__u32 queue = packet->queue, seat = STEER_LISTENER(queue, bpf_ntohs(packet->key.local_port));

	if (!bpf_map_lookup_elem(&xsks_map, &queue))
		return false;
	return rule->mode != STEER_ENDPOINT || bpf_map_lookup_elem(&steer_listeners, &seat);
}

/* Decides a connection at its first packet and remembers it. */
static __always_inline __u32 steer_admit(const struct steer_packet *packet, __u32 slot, __u32 now, int *action)
{
	struct steer_flow half_open = { .rule = steer_match(slot, packet), .seen = now };
	struct steer_rule *rule = bpf_map_lookup_elem(&steer_rules, &half_open.rule);
	struct steer_events *event = bpf_map_lookup_elem(&steer_events, &half_open.rule);

	if (!half_open.rule || !rule || !event)
		return STEER_VERDICT_UNNAMED;
	if (!steer_wants_queue(rule, packet->queue))
		return STEER_VERDICT_QUEUE;
	/* Nobody is there: the kernel gets the connection, for good. */
	if (!steer_is_served(rule, packet)) {
		steer_fell_back(half_open.rule);
		return STEER_VERDICT_NO_CONSUMER;
	}
	if (bpf_map_update_elem(&steer_syns, &packet->key, &half_open, BPF_ANY))
		return STEER_VERDICT_FULL;
	__sync_fetch_and_add(&event->flows, 1);
	return steer_redirect(packet, half_open.rule, action);
}

/* SYN, or SYN+ACK for connections made from here: the one moment at which a connection can be steered. */
static __always_inline __u32 steer_open(const struct steer_packet *packet, __u32 slot, __u32 now, int *action)
{
	struct steer_flow *half_open = bpf_map_lookup_elem(&steer_syns, &packet->key);
	struct steer_flow *open = bpf_map_lookup_elem(&steer_flows, &packet->key);
	__u32 verdict, queue = packet->queue;
	struct steer_rule *rule;

	if (bpf_map_lookup_elem(&xsks_map, &queue)) {
		/* A SYN sent again goes where the first one went, whatever the rules say by now. */
		if (half_open && now - half_open->seen <= STEER_IDLE_SYN)
			return steer_redirect(packet, half_open->rule, action);
		/* On a live flow its owner knows what a SYN means. Where the rule is gone, the next is decided anew. */
		if (open && open->state == STEER_OPEN && now - open->seen <= STEER_IDLE_OPEN) {
			rule = bpf_map_lookup_elem(&steer_rules, &open->rule);
			if (!rule || !rule->active)
				open->state = STEER_CLOSING;
			return steer_redirect(packet, open->rule, action);
		}
	}
	/* What was known of an older connection between these ports must not catch this one. */
	if (open)
		bpf_map_delete_elem(&steer_flows, &packet->key);
	verdict = steer_admit(packet, slot, now, action);
	if (half_open && verdict != STEER_VERDICT_STEERED)
		bpf_map_delete_elem(&steer_syns, &packet->key);
	return verdict;
}

/* Any other packet of a TCP connection. */
static __always_inline __u32 steer_follow(const struct steer_packet *packet, __u32 now, int *action)
{
	struct steer_flow *flow = bpf_map_lookup_elem(&steer_flows, &packet->key);
	struct steer_flow open = { .seen = now };
	struct steer_events *event;
	__u32 rule;

	if (!flow) {
		flow = bpf_map_lookup_elem(&steer_syns, &packet->key);
		if (!flow || now - flow->seen > STEER_IDLE_SYN)
			return STEER_VERDICT_MIDSTREAM;
		open.rule = flow->rule;
		if (bpf_map_update_elem(&steer_flows, &packet->key, &open, BPF_ANY))
			return steer_redirect(packet, open.rule, action); /* still known as half open */
		bpf_map_delete_elem(&steer_syns, &packet->key);
		flow = bpf_map_lookup_elem(&steer_flows, &packet->key);
		if (!flow)
			return STEER_VERDICT_FULL;
	}
	rule = flow->rule;
	if (now - flow->seen > (flow->state == STEER_OPEN ? STEER_IDLE_OPEN : STEER_IDLE_CLOSING)) {
		bpf_map_delete_elem(&steer_flows, &packet->key);
		return STEER_VERDICT_MIDSTREAM;
	}
	if (flow->seen != now)
		flow->seen = now;
	/* Not forgotten at once: the other direction may go on for long, and a reset may be forged. */
	if (packet->flags & (STEER_TCP_FIN | STEER_TCP_RST) && flow->state == STEER_OPEN) {
		flow->state = STEER_CLOSING;
		event = bpf_map_lookup_elem(&steer_events, &rule);
		if (event)
			__sync_fetch_and_add(&event->closed, 1);
	}
	return steer_redirect(packet, rule, action);
}

static __always_inline __u32 steer_decide(const struct steer_packet *packet, int *action)
{
	__u32 zero = 0, half, index, in = 0, out = 0, verdict, now;
	struct steer_control *control = bpf_map_lookup_elem(&steer_control, &zero);
	bool udp = packet->protocol == STEER_UDP;
	struct steer_port *port;

	if (!control)
		return STEER_VERDICT_UNNAMED;
	half = control->half & 1;
	if (packet->protocol == STEER_ICMP) {
		in = control->icmp[half][packet->flags & 1];
		return in ? steer_by_rule(packet, in, action) : STEER_VERDICT_UNNAMED;
	}

	index = half * STEER_PORTS + bpf_ntohs(packet->key.local_port);
	port = bpf_map_lookup_elem(&steer_ports, &index);
	if (port)
		in = udp ? port->slot[STEER_SLOT(STEER_UDP, STEER_IN)] : port->slot[STEER_SLOT(STEER_TCP, STEER_IN)];
	if (control->out[half]) {
		index = half * STEER_PORTS + bpf_ntohs(packet->key.remote_port);
		port = bpf_map_lookup_elem(&steer_ports, &index);
		if (port)
			out = udp ? port->slot[STEER_SLOT(STEER_UDP, STEER_OUT)] :
				    port->slot[STEER_SLOT(STEER_TCP, STEER_OUT)];
	}
	if (!in && !out)
		return STEER_VERDICT_UNNAMED;

	if (udp) {
		verdict = in ? steer_by_rule(packet, in, action) : STEER_VERDICT_UNNAMED;
		return verdict == STEER_VERDICT_UNNAMED && out ? steer_by_rule(packet, out, action) : verdict;
	}
	now = bpf_ktime_get_coarse_ns() >> 30;
	if ((packet->flags & (STEER_TCP_SYN | STEER_TCP_FIN | STEER_TCP_RST)) == STEER_TCP_SYN)
		return steer_open(packet, packet->flags & STEER_TCP_ACK ? out : in, now, action);
	return steer_follow(packet, now, action);
}

SEC("xdp")
int xsk_def_prog(struct xdp_md *context)
{
	struct steer_packet packet = {};
	int action = XDP_PASS;
	__u32 verdict;
	__u64 *count;

	verdict = steer_parse(context, &packet);
	if (!verdict)
		verdict = steer_decide(&packet, &action);
	count = bpf_map_lookup_elem(&steer_counts, &verdict);
	if (count)
		(*count)++;
	return action;
}

/*
 * User space cannot look into an XSKMAP (its look-up is -EOPNOTSUPP there), a program can. Run by BPF_PROG_TEST_RUN,
 * never attached.
 */
SEC("tc")
int steer_presence(struct __sk_buff *context)
{
	__u32 queue, *seat;

	for (queue = 0; queue < STEER_QUEUES_MAX; queue++) {
		__u32 key = queue;

		seat = bpf_map_lookup_elem(&steer_seats, &key);
		if (seat)
			*seat = bpf_map_lookup_elem(&xsks_map, &key) ? 1 : 0;
	}
	return 0;
}

char _license[] SEC("license") = "GPL";
