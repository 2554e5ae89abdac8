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
#include <linux/errno.h>
#include "steer_parse.bpf.h"

#define STEER_MAP(map_name, map_type, key_type, value_type, entries, flags) \
	struct { \
		__uint(type, map_type); \
		__type(key, key_type); \
		__type(value, value_type); \
		__uint(max_entries, entries); \
		__uint(map_flags, flags); \
		__uint(pinning, LIBBPF_PIN_BY_NAME); \
	} map_name SEC(".maps")

STEER_MAP(steer_control, BPF_MAP_TYPE_ARRAY, __u32, struct steer_control, 1, 0);
STEER_MAP(steer_ports, BPF_MAP_TYPE_ARRAY, __u32, struct steer_port, 2 * STEER_PORTS, 0);
STEER_MAP(steer_peers, BPF_MAP_TYPE_LPM_TRIE, struct steer_peer_key, __u32, STEER_PEERS_MAX, BPF_F_NO_PREALLOC);
STEER_MAP(steer_rules, BPF_MAP_TYPE_ARRAY, __u32, struct steer_rule, STEER_RULES_MAX, 0);
STEER_MAP(steer_locals, BPF_MAP_TYPE_LPM_TRIE, struct steer_local_key, __u32, STEER_LOCALS_MAX, BPF_F_NO_PREALLOC);
STEER_MAP(steer_counts, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, __u64, STEER_VERDICT_MAX, 0);
STEER_MAP(steer_hits, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, struct steer_hits, STEER_RULES_MAX, 0);
STEER_MAP(steer_events, BPF_MAP_TYPE_ARRAY, __u32, struct steer_events, STEER_RULES_MAX, 0);
STEER_MAP(steer_listeners, BPF_MAP_TYPE_HASH, __u32, __u32, STEER_LISTENERS_MAX, 0);
STEER_MAP(steer_last, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, __u32, 1, 0);
STEER_MAP(steer_seats, BPF_MAP_TYPE_ARRAY, __u32, __u32, STEER_QUEUES_MAX, 0); /* filled by steer_presence */

/* A program's own, which it maps (agent/endpoint-broker/seat.c makes them). */
struct steer_door_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct steer_door));
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__type(key, __u32);
	__uint(max_entries, STEER_QUEUES_MAX);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__array(values, struct steer_door_map);
} steer_doors SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(key_size, 4);
	__uint(value_size, 4);
	__uint(max_entries, STEER_QUEUES_MAX);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} xsks_map SEC(".maps");

#include "steer_flows.bpf.h"

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
	__u32 zero = 0, *last;

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
	last = bpf_map_lookup_elem(&steer_last, &zero);
	if (last)
		*last = rule;
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

/* Is the packet for this machine, by link address and by IP address? */
static __always_inline bool steer_is_ours(const struct steer_packet *packet, const struct steer_control *control)
{
	struct steer_local_key key = { .prefixlen = 128 };
	bool ours = false;
	__u32 i;

#pragma unroll
	for (i = 0; i < STEER_STATIONS; i++)
		ours |= packet->station == control->stations[i] && (control->stations[i] || !i);
	if (!ours)
		return false;
	__builtin_memcpy(key.address, packet->key.local, sizeof(key.address));
	return bpf_map_lookup_elem(&steer_locals, &key);
}

/* Packets without a connection: the rule alone decides. */
static __always_inline __u32 steer_by_rule(const struct steer_packet *packet, const struct steer_control *control,
					   __u32 slot, int *action)
{
	__u32 number = steer_match(slot, packet);
	struct steer_rule *rule = bpf_map_lookup_elem(&steer_rules, &number);

	if (!number || !rule)
		return STEER_VERDICT_UNNAMED;
	if (!rule->transit && !steer_is_ours(packet, control))
		return STEER_VERDICT_TRANSIT;
	if (!steer_wants_queue(rule, packet->queue))
		return STEER_VERDICT_QUEUE;
	return steer_redirect(packet, number, action);
}

/* The program on the queue has closed the port itself, and perhaps no agent runs that could have been told. */
static __always_inline bool steer_has_shut(__u32 queue, __u16 port)
{
	void *doors = bpf_map_lookup_elem(&steer_doors, &queue);
	__u32 zero = 0;
	struct steer_door *door = doors ? bpf_map_lookup_elem(doors, &zero) : NULL;
	__u32 word = port / 32;

	/* Up to 6.12 the verifier forgets the bound of what was in a register of the caller's. */
	asm volatile("%0 &= %1" : "+r"(word) : "i"(STEER_PORTS / 32 - 1));
	return door && door->closed[word] & 1u << port % 32;
}

/*
 * Somebody takes new connections of the rule on this queue. An endpoint's socket is there for the ports that its
 * program listens on, so that a worker that drains, or serves other ports, gets no new connections.
 */
static __always_inline bool steer_is_served(const struct steer_rule *rule, const struct steer_packet *packet)
{
	__u16 port = bpf_ntohs(packet->key.local_port);
	__u32 queue = packet->queue, seat = STEER_LISTENER(queue, port);

	if (!bpf_map_lookup_elem(&xsks_map, &queue))
		return false;
	return rule->mode != STEER_ENDPOINT ||
	       (bpf_map_lookup_elem(&steer_listeners, &seat) && !steer_has_shut(queue, port));
}

/*
 * Does the kernel have the connection that the packet belongs to? A SYN that was forged, or delivered twice, must not
 * take it away. What waits for its last packets only (TIME_WAIT) gives way, as it does in the kernel.
 */
static __always_inline bool steer_is_the_kernels(struct xdp_md *context, const struct steer_packet *packet)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *socket;
	__u32 state;

	if (packet->version == 4) {
		__builtin_memcpy(&tuple.ipv4.saddr, packet->key.remote + 12, 4);
		__builtin_memcpy(&tuple.ipv4.daddr, packet->key.local + 12, 4);
		tuple.ipv4.sport = packet->key.remote_port;
		tuple.ipv4.dport = packet->key.local_port;
		socket = bpf_skc_lookup_tcp(context, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	} else {
		__builtin_memcpy(tuple.ipv6.saddr, packet->key.remote, 16);
		__builtin_memcpy(tuple.ipv6.daddr, packet->key.local, 16);
		tuple.ipv6.sport = packet->key.remote_port;
		tuple.ipv6.dport = packet->key.local_port;
		socket = bpf_skc_lookup_tcp(context, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
	}
	if (!socket)
		return false;
	state = socket->state;
	bpf_sk_release(socket);
	return state != BPF_TCP_LISTEN && state != BPF_TCP_TIME_WAIT && state != BPF_TCP_CLOSE;
}

/* Decides a connection at its first packet and remembers it. */
static __always_inline __u32 steer_admit(struct xdp_md *context, const struct steer_packet *packet,
					 const struct steer_control *control, __u32 slot, __u32 now, int *action)
{
	struct steer_flow half_open = {
		.rule = steer_match(slot, packet),
		.seen = now,
		.next = packet->sequence + 1 + packet->data,
	};
	struct steer_rule *rule = bpf_map_lookup_elem(&steer_rules, &half_open.rule);
	struct steer_events *event = bpf_map_lookup_elem(&steer_events, &half_open.rule);

	if (!half_open.rule || !rule || !event)
		return STEER_VERDICT_UNNAMED;
	if (!rule->transit && !steer_is_ours(packet, control))
		return STEER_VERDICT_TRANSIT;
	if (!steer_wants_queue(rule, packet->queue))
		return STEER_VERDICT_QUEUE;
	/* Nobody is there: the kernel gets the connection, for good. */
	if (!steer_is_served(rule, packet)) {
		steer_fell_back(half_open.rule);
		return STEER_VERDICT_NO_CONSUMER;
	}
	if (steer_is_the_kernels(context, packet))
		return STEER_VERDICT_MIDSTREAM;
	if (bpf_map_update_elem(&steer_syns, &packet->key, &half_open, BPF_ANY))
		return STEER_VERDICT_FULL;
	__sync_fetch_and_add(&event->flows, 1);
	return steer_redirect(packet, half_open.rule, action);
}

/* SYN, or SYN+ACK for connections made from here: the one moment at which a connection can be steered. */
static __always_inline __u32 steer_open(struct xdp_md *context, const struct steer_packet *packet,
					const struct steer_control *control, __u32 slot, __u32 now, int *action)
{
	__u32 place, verdict, queue = packet->queue;
	struct steer_flow *flow = steer_find(&packet->key, &place);
	bool consumer = bpf_map_lookup_elem(&xsks_map, &queue), known = flow && !steer_is_idle(flow, now);

	/*
	 * A SYN may be forged, or be sent or delivered again: it changes nothing about a flow. Its owner knows what it
	 * means, and answers so that a peer that did lose its memory sends a reset.
	 */
	if (known && consumer && flow->state != STEER_CLOSING)
		return steer_redirect(packet, flow->rule, action);
	verdict = steer_admit(context, packet, control, slot, now, action);
	if (verdict == STEER_VERDICT_STEERED || !flow)
		return verdict;
	/* The kernel has it now; but what closed, or was forged to have closed, may yet be heard of. */
	if (known && consumer) {
		flow->flags |= STEER_FLOW_NEWER;
		flow->mark = packet->sequence + 1;
	} else {
		steer_forget(&packet->key);
	}
	return verdict;
}

/* A packet on a flow that closed: one of its last, one that shows that it did not close, or one of a newer flow. */
static __always_inline __u32 steer_after_end(struct xdp_md *context, const struct steer_packet *packet,
					     struct steer_flow *flow, int *action)
{
	struct steer_flow again = *flow;
	struct steer_events *event;
	__u32 place = STEER_PLACE_SILENT;

	if (flow->flags & STEER_FLOW_NEWER) {
		if (packet->sequence - flow->mark < STEER_WINDOW)
			return STEER_VERDICT_MIDSTREAM;
		if (steer_is_the_kernels(context, packet)) {
			steer_forget(&packet->key);
			return STEER_VERDICT_MIDSTREAM;
		}
	}
	if (packet->flags & (STEER_TCP_FIN | STEER_TCP_RST) || steer_ends(packet, flow))
		return steer_redirect(packet, again.rule, action);
	/* The end was forged, or a packet was overtaken by it: then the next one ends the flow again. */
	again.next = packet->sequence + packet->data;
	again.mark = packet->acknowledged;
	again.state = STEER_SILENT;
	if (again.flags & STEER_FLOW_PROVEN) {
		again.state = STEER_OPEN;
		place = STEER_PLACE_OPEN;
	}
	again.flags &= STEER_FLOW_FIN;
	if (!steer_move(&packet->key, &again, STEER_PLACE_CLOSED, place)) {
		event = bpf_map_lookup_elem(&steer_events, &again.rule);
		if (event)
			__sync_fetch_and_add(&event->closed, -1);
	}
	return steer_redirect(packet, again.rule, action);
}

/* Any other packet of a TCP connection. */
static __always_inline __u32 steer_follow(struct xdp_md *context, const struct steer_packet *packet, __u32 now,
					  int *action)
{
	__u32 place, rule, distance;
	struct steer_flow *flow = steer_find(&packet->key, &place), moved;
	struct steer_events *event;

	if (!flow)
		return STEER_VERDICT_MIDSTREAM;
	if (steer_is_idle(flow, now)) {
		steer_forget(&packet->key);
		return STEER_VERDICT_MIDSTREAM;
	}
	rule = flow->rule;
	if (flow->seen != now)
		flow->seen = now;
	if (flow->state == STEER_CLOSING)
		return steer_after_end(context, packet, flow, action);

	if (packet->flags & (STEER_TCP_FIN | STEER_TCP_RST) || steer_ends(packet, flow)) {
		/* Only one that may be true closes the flow: a forged one does not know the sequence number. */
		distance = packet->sequence - flow->next + STEER_WINDOW;
		if (distance > 2 * STEER_WINDOW)
			return steer_redirect(packet, rule, action);
		moved = *flow;
		if (packet->flags & STEER_TCP_FIN) {
			moved.flags |= STEER_FLOW_FIN;
			moved.next = packet->sequence + packet->data;
		}
		if (moved.state == STEER_OPEN)
			moved.flags |= STEER_FLOW_PROVEN;
		moved.state = STEER_CLOSING;
		/* Not forgotten at once: the other direction may go on for long. */
		if (!steer_move(&packet->key, &moved, place, STEER_PLACE_CLOSED)) {
			event = bpf_map_lookup_elem(&steer_events, &rule);
			if (event)
				__sync_fetch_and_add(&event->closed, 1);
		}
		return steer_redirect(packet, rule, action);
	}

	flow->next = packet->sequence + packet->data;
	if (flow->state == STEER_HALF_OPEN) {
		flow->state = STEER_SILENT;
		flow->mark = packet->acknowledged;
		moved = *flow;
		/* An older connection between these ports is over. */
		if (!steer_move(&packet->key, &moved, place, STEER_PLACE_SILENT))
			bpf_map_delete_elem(&steer_closed, &packet->key);
	} else if (flow->state == STEER_SILENT && packet->flags & STEER_TCP_ACK &&
		   packet->acknowledged - flow->mark - 1 < STEER_ANSWER_MAX) {
		moved = *flow;
		moved.state = STEER_OPEN;
		steer_move(&packet->key, &moved, place, STEER_PLACE_OPEN);
	}
	return steer_redirect(packet, rule, action);
}

static __always_inline __u32 steer_decide(struct xdp_md *context, const struct steer_packet *packet, int *action)
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
		return in ? steer_by_rule(packet, control, in, action) : STEER_VERDICT_UNNAMED;
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
		verdict = in ? steer_by_rule(packet, control, in, action) : STEER_VERDICT_UNNAMED;
		return verdict == STEER_VERDICT_UNNAMED && out ? steer_by_rule(packet, control, out, action) : verdict;
	}
	now = bpf_ktime_get_coarse_ns() >> 30;
	if ((packet->flags & (STEER_TCP_SYN | STEER_TCP_FIN | STEER_TCP_RST)) == STEER_TCP_SYN)
		return steer_open(context, packet, control, packet->flags & STEER_TCP_ACK ? out : in, now, action);
	return steer_follow(context, packet, now, action);
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
		verdict = steer_decide(context, &packet, &action);
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

/*
 * The kernel found out after the program's end that it cannot hand the packet over. On the same CPU, before the next
 * packet; so what was counted as steered last is what was lost. The errors are those of net/xdp/xsk.c.
 */
SEC("raw_tp/xdp_redirect_err")
int steer_loss(struct bpf_raw_tracepoint_args *context)
{
	/* TP_PROTO(device, program, target, int error, enum bpf_map_type, u32 map, u32 index), since 5.13 */
	int error = context->args[3];
	__u32 map = context->args[5], zero = 0, verdict, steered = STEER_VERDICT_STEERED, *last;
	struct steer_control *control = bpf_map_lookup_elem(&steer_control, &zero);
	struct steer_hits *hits;
	__u64 *count;

	if (!control || !map || control->xsks != map)
		return 0;
	verdict = error == -ENOBUFS ? STEER_VERDICT_LOST_RING :
		  error == -ENOMEM  ? STEER_VERDICT_LOST_BUFFER :
		  error == -ENOSPC  ? STEER_VERDICT_LOST_SIZE :
				      STEER_VERDICT_LOST;
	count = bpf_map_lookup_elem(&steer_counts, &verdict);
	if (count)
		(*count)++;
	count = bpf_map_lookup_elem(&steer_counts, &steered);
	if (count && *count)
		(*count)--;
	last = bpf_map_lookup_elem(&steer_last, &zero);
	hits = last ? bpf_map_lookup_elem(&steer_hits, last) : NULL;
	if (hits)
		hits->lost++;
	return 0;
}

char _license[] SEC("license") = "GPL";
