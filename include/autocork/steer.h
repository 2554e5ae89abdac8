/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What the steering program (bpf/steer.bpf.c) and user space share: the maps' keys and values. One set of maps per
 * interface, all pinned by name, so that a restarted agent, the command line and a program loaded by somebody else
 * (DPDK's xdp_prog=) work on the same tables.
 *
 *   steer_control[0]            which half of the tables is in force
 *   steer_ports[half, port]  -> a slot per protocol and direction: a rule, or a group of rules with peers
 *   steer_peers{group, peer} -> rule, longest prefix first
 *   steer_rules[rule]        -> what the rule says; its number stays as long as its policy's name does
 *   steer_locals{address}    -> exists: the address is this machine's
 *   steer_syns, steer_silent, steer_flows, steer_closed -> TCP flows that were steered at their SYN, by what is known
 *   steer_counts[verdict], steer_hits[rule] (per CPU), steer_events[rule]: counters
 *   steer_last               -> per CPU: rule of the packet that was handed over last, for who counts the losses
 *   steer_listeners[queue, port]: an endpoint on the queue listens there; without it the kernel gets the connection
 *   steer_doors[queue]       -> struct steer_door, which the program on the queue has mapped: ports that it has closed
 *                               itself, whether an agent runs or not
 *   xsks_map[queue]          -> the AF_XDP socket that takes the queue's steered packets; the name is libxdp's
 *
 * What fills a table must not end a live connection, so a flow's table is chosen by how sure it is that it lives:
 *
 *   steer_syns    its peer has sent a SYN. Anybody can: the least recently used goes
 *   steer_silent  its peer has acknowledged the SYN+ACK, or somebody who forged both. Full: a new one stays in
 * steer_syns steer_flows   its peer has acknowledged more than that, so it hears the consumer. Full: a new one stays
 * where it is steer_closed  FIN or RST was seen. The least recently used goes
 *
 * Includes no kernel types but the uapi's: bpf/steer.bpf.c is built from those alone.
 */
#pragma once
#include <linux/types.h>

#define STEER_RULES_MAX 16384 /* number 0 is no rule */
#define STEER_QUEUES_MAX 256
#define STEER_FLOWS_MAX 131072
#define STEER_SILENT_MAX 65536
#define STEER_CLOSED_MAX 131072
#define STEER_SYNS_MAX 16384
#define STEER_PEERS_MAX 65536
#define STEER_LOCALS_MAX 16384 /* addresses and networks of this machine */
#define STEER_STATIONS 8       /* link addresses of an interface, and of those on top of it */
#define STEER_PORTS 65536
#define STEER_LISTENERS_MAX 4096
#define STEER_LISTENER(queue, port) ((__u32)(queue) << 16 | (port)) /* the port in host byte order */
/* The map of a queue's program; it can only close, for steer_listeners must name the port as well. */
#define STEER_DOOR_NAME "steer_door"
#define STEER_NAME_LEN 64 /* a policy's name, ended by a zero */

enum steer_mode { STEER_NONE, STEER_AF_XDP, STEER_DPDK, STEER_ENDPOINT, STEER_MODE_MAX };

/* Bits of a rule's `protocol` and `direction` keys. ICMP is echo only: requests are `in`, replies are `out`. */
enum steer_protocol { STEER_TCP, STEER_UDP, STEER_ICMP, STEER_PROTOCOL_MAX };
enum steer_direction {
	STEER_IN,  /* connections made to this machine: the port is the local one */
	STEER_OUT, /* connections made by this machine: the port is the peer's */
	STEER_DIRECTION_MAX,
};

#define STEER_SLOTS 4 /* TCP and UDP, each in and out */
#define STEER_SLOT(protocol, direction) (STEER_DIRECTION_MAX * (protocol) + (direction))
#define STEER_SLOT_GROUP (1u << 31) /* the number is a group's, to be looked up with the peer in steer_peers */
#define STEER_SLOT_DRAIN (1u << 30) /* no rule any more, or another one, but flows may live: look them up */
#define STEER_SLOT_NUMBER (STEER_SLOT_DRAIN - 1)

/* A bit for each port, by its number in host byte order. */
struct steer_door {
	__u32 closed[STEER_PORTS / 32];
};

struct steer_port {
	__u32 slot[STEER_SLOTS]; /* 0 = no rule */
};

struct steer_control {
	__u32 half;   /* 0 or 1 */
	__u32 out[2]; /* per half: some port has an `out` slot, so source ports must be looked at */
	__u32 icmp[2][STEER_DIRECTION_MAX]; /* per half: slots of the ICMP rules */
	__u32 next_group;		    /* groups are never reused while old packets may look at them */
	__u64 netns;			/* inode of the network namespace: interface names are unique only within one */
	__u32 ifindex;			/* names change, this does not */
	__u32 xsks;			/* id of xsks_map, which the kernel tells where a hand-over fails */
	__u64 stations[STEER_STATIONS]; /* own link addresses, in the first 6 bytes; ended by 0 */
};

struct steer_rule {
	__u32 active;			     /* 0 = free, or draining if `policy` is not empty */
	__u32 mode;			     /* enum steer_mode */
	__u64 queues[STEER_QUEUES_MAX / 64]; /* receive queues whose packets are steered */
	char policy[STEER_NAME_LEN];
	__u32 transit; /* other machines' addresses too */
	__u32 pad;
};

struct steer_local_key {
	__u32 prefixlen;  /* as BPF_MAP_TYPE_LPM_TRIE wants it */
	__u8 address[16]; /* IPv6, or IPv4 in its v4-mapped form */
};

struct steer_peer_key {
	__u32 prefixlen; /* 32 + bits of the peer that count, as BPF_MAP_TYPE_LPM_TRIE wants it */
	__u32 group;
	__u8 peer[16]; /* IPv6, or IPv4 in its v4-mapped form */
};

struct steer_flow_key {
	__u32 vlan;	   /* outer tag << 16 | inner tag, VLAN ids only; 0 = untagged */
	__u16 remote_port; /* network byte order, both */
	__u16 local_port;
	__u8 remote[16]; /* v4-mapped for IPv4 */
	__u8 local[16];
};

enum steer_state {
	STEER_HALF_OPEN, /* SYN */
	STEER_SILENT,	 /* its peer acknowledged our SYN, and nothing else yet */
	STEER_OPEN,	 /* its peer acknowledged more: it hears us */
	STEER_CLOSING,	 /* FIN or RST */
};

/* Bits of a flow's flags. */
#define STEER_FLOW_FIN 1    /* the peer's FIN was seen */
#define STEER_FLOW_PROVEN 2 /* STEER_OPEN before it closed */
#define STEER_FLOW_NEWER 4  /* closing: the kernel got a SYN of a connection between the same ports */

struct steer_flow {
	__u32 rule;
	__u32 seen;  /* time of the last packet, in units of 2^30 ns of CLOCK_MONOTONIC */
	__u32 state; /* enum steer_state */
	__u32 flags;
	__u32 next; /* sequence number behind the peer's last data */
	__u32 mark; /* silent: the acknowledgement of our SYN; closing with a newer one: its first number */
};

/*
 * Longest silence before a flow is forgotten, in units of 2^30 ns. An open flow must outlive the kernel's default
 * keepalive (tcp_keepalive_time 7200 s + 9 probes 75 s apart). A FIN or RST may be forged, so a closing flow is kept as
 * long where nothing waits for its end; its rule, if it was taken away, waits for STEER_IDLE_CLOSING.
 */
#define STEER_IDLE_OPEN 7400
#define STEER_IDLE_CLOSING 60
#define STEER_IDLE_SYN 60
/* A FIN or RST further from the peer's last data is not believed (RFC 5961 asks for the exact number; packets get
 * lost). */
#define STEER_WINDOW (1 << 17)

/* What became of a packet: every packet counts once. STEERED and LOST ones do not go to the kernel. */
#define STEER_VERDICTS(X) \
	X(STEERED, "steered", "handed to an AF_XDP socket") \
	X(UNNAMED, "unnamed", "no rule names its port or peer") \
	X(MIDSTREAM, "midstream", "TCP of a named port that was not steered at its SYN: the kernel's") \
	X(NO_CONSUMER, "no_consumer", "a rule names it, nobody has a socket on its queue") \
	X(QUEUE, "queue", "a rule names it, for other queues") \
	X(TRANSIT, "transit", "a rule names it, its address is not this machine's") \
	X(FULL, "full", "a rule names it, the flow could not be remembered") \
	X(FRAGMENT, "fragment", "an IP fragment") \
	X(OTHER, "other", "IP, but neither TCP, UDP nor ICMP echo") \
	X(NOT_IP, "not_ip", "neither IPv4 nor IPv6") \
	X(MALFORMED, "malformed", "a header that is cut short or contradicts itself") \
	X(LOST_RING, "lost_ring", "lost: the consumer's receive ring is full, it is too slow or stands") \
	X(LOST_BUFFER, "lost_buffer", "lost: the consumer has left no buffer for it") \
	X(LOST_SIZE, "lost_size", "lost: it does not fit in the consumer's buffers") \
	X(LOST, "lost", "lost: the hand-over failed for another reason")

enum steer_verdict {
#define X(id, name, text) STEER_VERDICT_##id,
	/* clang-format off */
	STEER_VERDICTS(X)
#undef X
	STEER_VERDICT_MAX,
	/* clang-format on */
};
#define STEER_VERDICT_LOST_FIRST STEER_VERDICT_LOST_RING /* this one and those behind it are losses */

struct steer_hits {
	__u64 packets; /* steered */
	__u64 bytes;
	__u64 lost; /* of these */
};

struct steer_events {
	__u64 flows;	   /* TCP flows steered at their SYN */
	__u64 closed;	   /* of these, ended by FIN or RST */
	__u64 no_consumer; /* packets that fell back to the kernel because nobody was there */
};

_Static_assert(sizeof(struct steer_control) == 112, "layout shared with BPF");
_Static_assert(sizeof(struct steer_rule) == 112, "layout shared with BPF");
_Static_assert(sizeof(struct steer_local_key) == 20, "layout shared with BPF");
_Static_assert(sizeof(struct steer_peer_key) == 24, "layout shared with BPF");
_Static_assert(sizeof(struct steer_flow_key) == 40, "layout shared with BPF");
_Static_assert(sizeof(struct steer_flow) == 24, "layout shared with BPF");
