/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The steering program, packet by packet (BPF_PROG_TEST_RUN): every layer, well formed and not, and the life of a TCP
 * flow. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <bpf/btf.h>
#include <linux/btf.h>
#include <sys/mman.h>
#include <net/if.h>

#include "steer_frame.h"
#include "steer_set.h"
#include "repeats.h"

enum { FIN = 0x01, SYN = 0x02, RST = 0x04, PSH = 0x08, ACK = 0x10 };

/* Rules of the table below. All are on port 9000 unless said otherwise. */
enum {
	RULE_TCP = 1, /* TCP in */
	RULE_UDP,     /* UDP in */
	RULE_PEER,    /* TCP and UDP in, port 9001, peers 10.0.0.0/8 and fd00::/16 */
	RULE_NARROW,  /* the same, peer 10.1.0.0/16: the longer prefix decides */
	RULE_OUT,     /* TCP and UDP out, port 7000 */
	RULE_QUEUE,   /* UDP in, port 9002, queue 1 only */
	RULE_PING,    /* ICMP in */
	RULE_TRANSIT, /* TCP and UDP in, port 9003, of other machines too */
};

struct test {
	struct steer_bpf *steer;
	int socket; /* AF_XDP */
};

/* ------------------------------------------------------------------ the program */

static void set_seat(struct test *test, bool there)
{
	unsigned int queue = 0;

	if (there)
		assert_int_equal(bpf_map_update_elem(bpf_map__fd(test->steer->maps.xsks_map), &queue, &test->socket,
						     BPF_ANY),
				 0);
	else
		bpf_map_delete_elem(bpf_map__fd(test->steer->maps.xsks_map), &queue);
}

static void set_slot(struct test *test, unsigned int port, enum steer_protocol protocol, enum steer_direction direction,
		     unsigned int slot)
{
	int map = bpf_map__fd(test->steer->maps.steer_ports);
	struct steer_port value;

	assert_int_equal(bpf_map_lookup_elem(map, &port, &value), 0);
	value.slot[STEER_SLOT(protocol, direction)] = slot;
	assert_int_equal(bpf_map_update_elem(map, &port, &value, BPF_ANY), 0);
}

static void set_rule(struct test *test, unsigned int number, const char *policy, unsigned long long queues)
{
	struct steer_rule rule = {
		.active = 1,
		.mode = STEER_AF_XDP,
		.queues = { queues },
		.transit = number == RULE_TRANSIT,
	};

	strcpy(rule.policy, policy);
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(test->steer->maps.steer_rules), &number, &rule, BPF_ANY), 0);
}

static void set_peer(struct test *test, unsigned int group, const char *address, unsigned int bits, unsigned int rule)
{
	struct steer_peer_key key = { .prefixlen = 32 + bits, .group = group };

	assert_int_equal(inet_pton(AF_INET6, address, key.peer), 1);
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(test->steer->maps.steer_peers), &key, &rule, BPF_ANY), 0);
}

static void set_control(struct test *test, bool out)
{
	struct steer_control control = { .out = { out }, .icmp = { { RULE_PING, 0 } } };
	unsigned int zero = 0;

	assert_int_equal(bpf_map_update_elem(bpf_map__fd(test->steer->maps.steer_control), &zero, &control, BPF_ANY),
			 0);
}

static unsigned long long count_of(struct test *test, unsigned int verdict)
{
	unsigned long long values[libbpf_num_possible_cpus()], sum = 0;

	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(test->steer->maps.steer_counts), &verdict, values), 0);
	for (int i = 0; i < libbpf_num_possible_cpus(); i++)
		sum += values[i];
	return sum;
}

static struct steer_hits hits_of(struct test *test, unsigned int rule)
{
	struct steer_hits values[libbpf_num_possible_cpus()], sum = { 0 };

	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(test->steer->maps.steer_hits), &rule, values), 0);
	for (int i = 0; i < libbpf_num_possible_cpus(); i++) {
		sum.packets += values[i].packets;
		sum.bytes += values[i].bytes;
	}
	return sum;
}

static struct steer_events events_of(struct test *test, unsigned int rule)
{
	struct steer_events events;

	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(test->steer->maps.steer_events), &rule, &events), 0);
	return events;
}

/* Runs the frame through and returns its verdict: the one counter that moved. The action must go with it. */
static unsigned int run_frame(struct test *test, const struct frame *frame)
{
	struct xdp_md context = { .data_end = frame->length, .ingress_ifindex = if_nametoindex("lo") };
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame->bytes, .data_size_in = frame->length,
		    .ctx_in = &context, .ctx_size_in = sizeof(context), .repeat = 1);
	unsigned long long before[STEER_VERDICT_MAX];
	unsigned int verdict = STEER_VERDICT_MAX;

	for (unsigned int i = 0; i < STEER_VERDICT_MAX; i++)
		before[i] = count_of(test, i);
	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(test->steer->progs.xsk_def_prog), &options), 0);
	for (unsigned int i = 0; i < STEER_VERDICT_MAX; i++) {
		if (count_of(test, i) == before[i])
			continue;
		assert_int_equal(verdict, STEER_VERDICT_MAX);
		assert_int_equal(count_of(test, i), before[i] + 1);
		verdict = i;
	}
	assert_int_equal(options.retval, verdict == STEER_VERDICT_STEERED ? XDP_REDIRECT : XDP_PASS);
	return verdict;
}

static unsigned int run_shape(struct test *test, const struct shape *shape)
{
	struct frame frame = make_frame(shape);

	return run_frame(test, &frame);
}

#define RUN(test, ...) run_shape(test, &(struct shape){ __VA_ARGS__ })

static unsigned int flows_in(const struct bpf_map *map)
{
	struct steer_flow_key key, next;
	unsigned int count = 0;
	bool first = true;

	while (!bpf_map_get_next_key(bpf_map__fd(map), first ? NULL : &key, &next)) {
		key = next;
		first = false;
		count++;
	}
	return count;
}

static void forget(const struct bpf_map *map)
{
	struct steer_flow_key key;

	while (!bpf_map_get_next_key(bpf_map__fd(map), NULL, &key))
		assert_int_equal(bpf_map_delete_elem(bpf_map__fd(map), &key), 0);
}

/* Puts the flow's last packet so many units into the past. */
static void age(const struct bpf_map *map, unsigned int units)
{
	struct steer_flow_key key;
	struct steer_flow flow;

	assert_int_equal(bpf_map_get_next_key(bpf_map__fd(map), NULL, &key), 0);
	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(map), &key, &flow), 0);
	flow.seen -= units;
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(map), &key, &flow, BPF_ANY), 0);
}

static int setup(void **state)
{
	struct test *test = calloc(1, sizeof(*test));
	struct steer_tables tables = { 0 };

	test->steer = steer_load(&tables);
	test->socket = steer_socket();
	if (!test->steer || test->socket < 0 || steer_own(&tables, "::ffff:192.0.2.2") ||
	    steer_own(&tables, "::ffff:192.0.2.9") || steer_own(&tables, "2001:db8::2"))
		return -1;
	set_rule(test, RULE_TCP, "tcp", ~0ull);
	set_rule(test, RULE_UDP, "udp", ~0ull);
	set_rule(test, RULE_PEER, "peer", ~0ull);
	set_rule(test, RULE_NARROW, "narrow", ~0ull);
	set_rule(test, RULE_OUT, "out", ~0ull);
	set_rule(test, RULE_QUEUE, "queue", 2);
	set_rule(test, RULE_PING, "ping", ~0ull);
	set_rule(test, RULE_TRANSIT, "transit", ~0ull);
	set_slot(test, 9003, STEER_TCP, STEER_IN, RULE_TRANSIT);
	set_slot(test, 9003, STEER_UDP, STEER_IN, RULE_TRANSIT);
	set_slot(test, 9000, STEER_TCP, STEER_IN, RULE_TCP);
	set_slot(test, 9000, STEER_UDP, STEER_IN, RULE_UDP);
	set_slot(test, 9001, STEER_TCP, STEER_IN, STEER_SLOT_GROUP | 7);
	set_slot(test, 9001, STEER_UDP, STEER_IN, STEER_SLOT_GROUP | 7);
	set_slot(test, 9002, STEER_UDP, STEER_IN, RULE_QUEUE);
	set_slot(test, 7000, STEER_TCP, STEER_OUT, RULE_OUT);
	set_slot(test, 7000, STEER_UDP, STEER_OUT, RULE_OUT);
	set_peer(test, 7, "::ffff:10.0.0.0", 104, RULE_PEER);
	set_peer(test, 7, "::ffff:10.1.0.0", 112, RULE_NARROW);
	set_peer(test, 7, "fd00::", 16, RULE_PEER);
	set_peer(test, 8, "::", 0, RULE_NARROW); /* another group's: must never match */
	set_control(test, true);
	set_seat(test, true);
	*state = test;
	return 0;
}

static int teardown(void **state)
{
	struct test *test = *state;

	close(test->socket);
	steer_bpf__destroy(test->steer);
	free(test);
	return 0;
}

/* ------------------------------------------------------------------ one packet, one verdict */

static const struct {
	const char *description;
	struct shape shape;
	enum steer_verdict verdict;
	unsigned int rule; /* that counts it, if steered */
} table[] = {
	/* IPv4 */
	{ "IPv4 TCP SYN", { .flags = SYN }, STEER_VERDICT_STEERED, RULE_TCP },
	{ "IPv4 TCP SYN with ECN set up", { .flags = SYN | 0xc0 }, STEER_VERDICT_STEERED, RULE_TCP },
	{ "IPv4 TCP SYN, 40 bytes of IP options", { .flags = SYN, .options = 40 }, STEER_VERDICT_STEERED, RULE_TCP },
	{ "IPv4 TCP SYN, Ethernet padding", { .flags = SYN, .padding = 6 }, STEER_VERDICT_STEERED, RULE_TCP },
	{ "IPv4 TCP ACK of an unknown flow", { .flags = ACK }, STEER_VERDICT_MIDSTREAM, 0 },
	{ "IPv4 TCP SYN+FIN opens nothing", { .flags = SYN | FIN }, STEER_VERDICT_MIDSTREAM, 0 },
	{ "IPv4 TCP SYN+RST opens nothing", { .flags = SYN | RST }, STEER_VERDICT_MIDSTREAM, 0 },
	{ "IPv4 TCP without flags", { .flags = 0 }, STEER_VERDICT_MIDSTREAM, 0 },
	{ "IPv4 TCP SYN, port next to it", { .flags = SYN, .to = 8999 }, STEER_VERDICT_UNNAMED, 0 },
	{ "IPv4 TCP SYN, port as source", { .flags = SYN, .from = 9000, .to = 22 }, STEER_VERDICT_UNNAMED, 0 },
	{ "IPv4 TCP SYN+ACK to the port: an outgoing connection's",
	  { .flags = SYN | ACK, .from = 443 },
	  STEER_VERDICT_UNNAMED,
	  0 },
	{ "IPv4 UDP", { .protocol = IPPROTO_UDP }, STEER_VERDICT_STEERED, RULE_UDP },
	{ "IPv4 UDP, other port", { .protocol = IPPROTO_UDP, .to = 53 }, STEER_VERDICT_UNNAMED, 0 },
	{ "IPv4 UDP, shorter than the IP packet",
	  { .protocol = IPPROTO_UDP, .udp_delta = -4 },
	  STEER_VERDICT_STEERED,
	  RULE_UDP },
	{ "IPv4 ICMP echo request", { .protocol = IPPROTO_ICMP, .type = 8 }, STEER_VERDICT_STEERED, RULE_PING },
	{ "IPv4 ICMP echo reply", { .protocol = IPPROTO_ICMP, .type = 0 }, STEER_VERDICT_UNNAMED, 0 },
	{ "IPv4 ICMP destination unreachable", { .protocol = IPPROTO_ICMP, .type = 3 }, STEER_VERDICT_OTHER, 0 },
	{ "IPv4 GRE", { .protocol = 47 }, STEER_VERDICT_OTHER, 0 },
	{ "IPv4 ESP", { .protocol = 50 }, STEER_VERDICT_OTHER, 0 },
	{ "ICMPv6 in IPv4", { .protocol = 58, .type = 128 }, STEER_VERDICT_OTHER, 0 },
	{ "IPv4 first fragment", { .flags = SYN, .fragment = 0x2000 }, STEER_VERDICT_FRAGMENT, 0 },
	{ "IPv4 later fragment", { .protocol = IPPROTO_UDP, .fragment = 0x2010 }, STEER_VERDICT_FRAGMENT, 0 },
	{ "IPv4 last fragment", { .protocol = IPPROTO_UDP, .fragment = 0x0010 }, STEER_VERDICT_FRAGMENT, 0 },
	{ "IPv4 do not fragment", { .flags = SYN, .fragment = 0x4000 }, STEER_VERDICT_STEERED, RULE_TCP },
	/* peers, directions, queues */
	{ "peer outside", { .to = 9001, .protocol = IPPROTO_UDP }, STEER_VERDICT_UNNAMED, 0 },
	{ "peer inside",
	  { .to = 9001, .protocol = IPPROTO_UDP, .remote = "10.2.3.4" },
	  STEER_VERDICT_STEERED,
	  RULE_PEER },
	{ "peer of the longer prefix",
	  { .to = 9001, .protocol = IPPROTO_UDP, .remote = "10.1.3.4" },
	  STEER_VERDICT_STEERED,
	  RULE_NARROW },
	{ "peer at SYN", { .to = 9001, .flags = SYN, .remote = "10.2.3.4" }, STEER_VERDICT_STEERED, RULE_PEER },
	{ "peer outside at SYN", { .to = 9001, .flags = SYN }, STEER_VERDICT_UNNAMED, 0 },
	{ "IPv6 peer inside",
	  { .version = 6, .to = 9001, .protocol = IPPROTO_UDP, .remote = "fd00:1::1" },
	  STEER_VERDICT_STEERED,
	  RULE_PEER },
	{ "IPv6 peer outside", { .version = 6, .to = 9001, .protocol = IPPROTO_UDP }, STEER_VERDICT_UNNAMED, 0 },
	{ "out: SYN+ACK from the port",
	  { .flags = SYN | ACK, .from = 7000, .to = 40000 },
	  STEER_VERDICT_STEERED,
	  RULE_OUT },
	{ "out: SYN from the port", { .flags = SYN, .from = 7000, .to = 40000 }, STEER_VERDICT_UNNAMED, 0 },
	{ "out: UDP from the port",
	  { .protocol = IPPROTO_UDP, .from = 7000, .to = 40000 },
	  STEER_VERDICT_STEERED,
	  RULE_OUT },
	{ "out: UDP to the port", { .protocol = IPPROTO_UDP, .to = 7000 }, STEER_VERDICT_UNNAMED, 0 },
	{ "another machine's address", { .protocol = IPPROTO_UDP, .local = "192.0.2.77" }, STEER_VERDICT_TRANSIT, 0 },
	{ "another machine's address at SYN", { .flags = SYN, .local = "192.0.2.77" }, STEER_VERDICT_TRANSIT, 0 },
	{ "another machine's IPv6 address",
	  { .version = 6, .flags = SYN, .local = "2001:db8::77" },
	  STEER_VERDICT_TRANSIT,
	  0 },
	{ "ping to another machine",
	  { .protocol = IPPROTO_ICMP, .type = 8, .local = "192.0.2.77" },
	  STEER_VERDICT_TRANSIT,
	  0 },
	{ "multicast", { .protocol = IPPROTO_UDP, .local = "224.0.0.1" }, STEER_VERDICT_TRANSIT, 0 },
	{ "broadcast", { .protocol = IPPROTO_UDP, .local = "255.255.255.255" }, STEER_VERDICT_TRANSIT, 0 },
	{ "IPv6 multicast", { .version = 6, .protocol = IPPROTO_UDP, .local = "ff02::1" }, STEER_VERDICT_TRANSIT, 0 },
	{ "another station's frame", { .protocol = IPPROTO_UDP, .station = 9 }, STEER_VERDICT_TRANSIT, 0 },
	{ "another station's frame at SYN", { .flags = SYN, .station = 9 }, STEER_VERDICT_TRANSIT, 0 },
	{ "transit allowed: another machine's address",
	  { .protocol = IPPROTO_UDP, .to = 9003, .local = "192.0.2.77", .station = 9 },
	  STEER_VERDICT_STEERED,
	  RULE_TRANSIT },
	{ "transit allowed: multicast at SYN",
	  { .flags = SYN, .to = 9003, .local = "224.0.0.1" },
	  STEER_VERDICT_STEERED,
	  RULE_TRANSIT },
	{ "another queue's", { .protocol = IPPROTO_UDP, .to = 9002 }, STEER_VERDICT_QUEUE, 0 },
	/* VLAN */
	{ "802.1Q", { .vlans = { 0x8100 }, .flags = SYN }, STEER_VERDICT_STEERED, RULE_TCP },
	{ "802.1ad around 802.1Q", { .vlans = { 0x88a8, 0x8100 }, .flags = SYN }, STEER_VERDICT_STEERED, RULE_TCP },
	{ "802.1Q, IPv6",
	  { .vlans = { 0x8100 }, .version = 6, .protocol = IPPROTO_UDP },
	  STEER_VERDICT_STEERED,
	  RULE_UDP },
	{ "three tags", { .vlans = { 0x88a8, 0x8100, 0x8100 }, .flags = SYN }, STEER_VERDICT_NOT_IP, 0 },
	{ "802.1Q cut in its tag", { .vlans = { 0x8100 }, .keep = 16 }, STEER_VERDICT_MALFORMED, 0 },
	{ "802.1ad cut in its inner tag", { .vlans = { 0x88a8, 0x8100 }, .keep = 20 }, STEER_VERDICT_MALFORMED, 0 },
	{ "ARP", { .vlans = { 0x0806 } }, STEER_VERDICT_NOT_IP, 0 },
	{ "802.3 length", { .vlans = { 0x0040 } }, STEER_VERDICT_NOT_IP, 0 },
	/* IPv6 */
	{ "IPv6 TCP SYN", { .version = 6, .flags = SYN }, STEER_VERDICT_STEERED, RULE_TCP },
	{ "IPv6 UDP", { .version = 6, .protocol = IPPROTO_UDP }, STEER_VERDICT_STEERED, RULE_UDP },
	{ "IPv6 echo request", { .version = 6, .protocol = 58, .type = 128 }, STEER_VERDICT_STEERED, RULE_PING },
	{ "IPv6 neighbour solicitation", { .version = 6, .protocol = 58, .type = 135 }, STEER_VERDICT_OTHER, 0 },
	{ "ICMPv4 in IPv6", { .version = 6, .protocol = 1, .type = 8 }, STEER_VERDICT_OTHER, 0 },
	{ "IPv6 hop-by-hop", { .version = 6, .extensions = { 1 }, .flags = SYN }, STEER_VERDICT_STEERED, RULE_TCP },
	{ "IPv6 routing, destination, AH",
	  { .version = 6, .extensions = { 43, 60, 51 }, .flags = SYN },
	  STEER_VERDICT_STEERED,
	  RULE_TCP },
	{ "IPv6 eight extension headers",
	  { .version = 6, .extensions = { 1, 60, 60, 60, 60, 60, 60, 60 }, .protocol = IPPROTO_UDP },
	  STEER_VERDICT_STEERED,
	  RULE_UDP },
	{ "IPv6 nine extension headers",
	  { .version = 6, .extensions = { 1, 60, 60, 60, 60, 60, 60, 60, 60 }, .flags = SYN },
	  STEER_VERDICT_MALFORMED,
	  0 },
	{ "IPv6 fragment",
	  { .version = 6, .extensions = { 44 }, .fragment = 1, .flags = SYN },
	  STEER_VERDICT_FRAGMENT,
	  0 },
	{ "IPv6 atomic fragment", { .version = 6, .extensions = { 44 }, .flags = SYN }, STEER_VERDICT_FRAGMENT, 0 },
	{ "IPv6 fragment behind hop-by-hop",
	  { .version = 6, .extensions = { 1, 44 }, .flags = SYN },
	  STEER_VERDICT_FRAGMENT,
	  0 },
	{ "IPv6 no next header", { .version = 6, .protocol = 59 }, STEER_VERDICT_OTHER, 0 },
	{ "IPv6 mobility header, TCP behind it",
	  { .version = 6, .extensions = { 135 }, .flags = SYN },
	  STEER_VERDICT_STEERED,
	  RULE_TCP },
	/* cut short, contradicting */
	{ "only an Ethernet header, IPv4", { .keep = 14 }, STEER_VERDICT_MALFORMED, 0 },
	{ "only an Ethernet header, IPv6", { .version = 6, .keep = 14 }, STEER_VERDICT_MALFORMED, 0 },
	{ "IPv4 header cut", { .keep = 33, .flags = SYN }, STEER_VERDICT_MALFORMED, 0 },
	{ "IPv4 says version 6", { .version_field = 6, .flags = SYN }, STEER_VERDICT_MALFORMED, 0 },
	{ "IPv4 header of 16 bytes", { .ihl = 4, .flags = SYN }, STEER_VERDICT_MALFORMED, 0 },
	{ "IPv4 header longer than the packet", { .ihl = 15, .flags = SYN }, STEER_VERDICT_MALFORMED, 0 },
	{ "IPv4 total length below its header", { .total_delta = -30, .flags = SYN }, STEER_VERDICT_MALFORMED, 0 },
	{ "IPv4 total length beyond the frame", { .total_delta = 1, .flags = SYN }, STEER_VERDICT_MALFORMED, 0 },
	{ "IPv4 payload cut", { .cut = 1, .flags = SYN }, STEER_VERDICT_MALFORMED, 0 },
	{ "TCP header of 16 bytes", { .doff = 4, .flags = SYN }, STEER_VERDICT_MALFORMED, 0 },
	{ "TCP header longer than its packet", { .doff = 7, .flags = SYN }, STEER_VERDICT_MALFORMED, 0 },
	{ "TCP header over the end of the IP packet", { .total_delta = -5, .flags = SYN }, STEER_VERDICT_MALFORMED, 0 },
	{ "UDP length below 8", { .protocol = IPPROTO_UDP, .udp_delta = -5 }, STEER_VERDICT_MALFORMED, 0 },
	{ "UDP length beyond its packet", { .protocol = IPPROTO_UDP, .udp_delta = 1 }, STEER_VERDICT_MALFORMED, 0 },
	{ "UDP header over the end of the IP packet",
	  { .protocol = IPPROTO_UDP, .total_delta = -5 },
	  STEER_VERDICT_MALFORMED,
	  0 },
	{ "ICMP header over the end of the IP packet",
	  { .protocol = IPPROTO_ICMP, .type = 8, .total_delta = -5 },
	  STEER_VERDICT_MALFORMED,
	  0 },
	{ "IPv6 header cut", { .version = 6, .keep = 53, .flags = SYN }, STEER_VERDICT_MALFORMED, 0 },
	{ "IPv6 says version 4", { .version = 6, .version_field = 4, .flags = SYN }, STEER_VERDICT_MALFORMED, 0 },
	{ "IPv6 payload beyond the frame",
	  { .version = 6, .total_delta = 1, .flags = SYN },
	  STEER_VERDICT_MALFORMED,
	  0 },
	{ "IPv6 payload length 0", { .version = 6, .total_delta = -24, .flags = SYN }, STEER_VERDICT_MALFORMED, 0 },
	{ "IPv6 extension over the end",
	  { .version = 6, .extensions = { 60 }, .total_delta = -30, .flags = SYN },
	  STEER_VERDICT_MALFORMED,
	  0 },
	{ "IPv6 extension cut",
	  { .version = 6, .extensions = { 60 }, .total_delta = -39, .keep = 55, .flags = SYN },
	  STEER_VERDICT_MALFORMED,
	  0 },
};

static void test_table(void **state)
{
	struct test *test = *state;

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct frame frame = make_frame(&table[i].shape);
		struct steer_hits before = hits_of(test, table[i].rule), after;
		unsigned int verdict = run_frame(test, &frame);

		forget(test->steer->maps.steer_syns);
		forget(test->steer->maps.steer_silent);
		forget(test->steer->maps.steer_flows);
		if (verdict != table[i].verdict)
			fail_msg("%s: verdict %u, expected %u", table[i].description, verdict, table[i].verdict);
		if (!table[i].rule)
			continue;
		after = hits_of(test, table[i].rule);
		if (after.packets != before.packets + 1 || after.bytes != before.bytes + frame.length)
			fail_msg("%s: rule %u did not count it", table[i].description, table[i].rule);
	}
}

/* Whatever comes: an action that is allowed, exactly one counter (run_frame() checks both). */
static void test_nonsense(void **state)
{
	struct test *test = *state;
	struct frame frame;

	srandom(4);
	for (unsigned int round = 0, count = repeats(3000); round < count; round++) {
		frame = make_frame(&(struct shape){ .version = round % 2 ? 6 : 4,
						    .flags = random(),
						    .extensions = { 60, 43 },
						    .protocol = round % 3 ? IPPROTO_TCP : IPPROTO_UDP,
						    .options = 8 });
		for (int i = 0; i < 4; i++)
			frame.bytes[12 + random() % (frame.length - 12)] = random();
		frame.length = 14 + random() % (frame.length - 13);
		assert_true(run_frame(test, &frame) < STEER_VERDICT_MAX);
	}
}

/* ------------------------------------------------------------------ the life of a flow */

/* The frames of a connection, from its SYN on: `from` is the peer's port. */
enum { ISN = 5000, ANSWERED = 7001 };

static void shake_hands(struct test *test, unsigned short from)
{
	assert_int_equal(RUN(test, .flags = SYN, .from = from, .sequence = ISN, .empty = 1), STEER_VERDICT_STEERED);
	assert_int_equal(RUN(test, .flags = ACK, .from = from, .sequence = ISN + 1, .acknowledged = ANSWERED,
			     .empty = 1),
			 STEER_VERDICT_STEERED);
}

/* … which sends 4 bytes, gets 4, and acknowledges them. Its next number is ISN + 5. */
static void talk(struct test *test, unsigned short from)
{
	shake_hands(test, from);
	assert_int_equal(RUN(test, .flags = ACK | PSH, .from = from, .sequence = ISN + 1, .acknowledged = ANSWERED),
			 STEER_VERDICT_STEERED);
	assert_int_equal(RUN(test, .flags = ACK, .from = from, .sequence = ISN + 5, .acknowledged = ANSWERED + 4,
			     .empty = 1),
			 STEER_VERDICT_STEERED);
}

#define TABLES(test, syns, silent, open, closed) \
	do { \
		assert_int_equal(flows_in((test)->steer->maps.steer_syns), syns); \
		assert_int_equal(flows_in((test)->steer->maps.steer_silent), silent); \
		assert_int_equal(flows_in((test)->steer->maps.steer_flows), open); \
		assert_int_equal(flows_in((test)->steer->maps.steer_closed), closed); \
	} while (0)

static void test_connection(void **state)
{
	struct test *test = *state;

	assert_int_equal(RUN(test, .flags = ACK), STEER_VERDICT_MIDSTREAM);
	assert_int_equal(RUN(test, .flags = SYN, .sequence = ISN, .empty = 1), STEER_VERDICT_STEERED);
	TABLES(test, 1, 0, 0, 0);
	assert_int_equal(RUN(test, .flags = ACK, .sequence = ISN + 1, .acknowledged = ANSWERED, .empty = 1),
			 STEER_VERDICT_STEERED);
	TABLES(test, 0, 1, 0, 0);
	assert_int_equal(RUN(test, .flags = ACK | PSH, .sequence = ISN + 1, .acknowledged = ANSWERED),
			 STEER_VERDICT_STEERED);
	TABLES(test, 0, 1, 0, 0);
	assert_int_equal(RUN(test, .flags = ACK, .sequence = ISN + 5, .acknowledged = ANSWERED + 4),
			 STEER_VERDICT_STEERED);
	TABLES(test, 0, 0, 1, 0);
	/* Neighbours in every part of the key are other flows. */
	assert_int_equal(RUN(test, .flags = ACK, .from = 40001), STEER_VERDICT_MIDSTREAM);
	assert_int_equal(RUN(test, .flags = ACK, .remote = "192.0.2.9"), STEER_VERDICT_MIDSTREAM);
	assert_int_equal(RUN(test, .flags = ACK, .local = "192.0.2.9"), STEER_VERDICT_MIDSTREAM);
	assert_int_equal(RUN(test, .flags = ACK, .vlans = { 0x8100 }), STEER_VERDICT_MIDSTREAM);
	assert_int_equal(RUN(test, .flags = ACK, .version = 6), STEER_VERDICT_MIDSTREAM);
	assert_int_equal(events_of(test, RULE_TCP).flows, 1);
	assert_int_equal(events_of(test, RULE_TCP).closed, 0);
	/* After FIN the rest of the conversation still arrives; it counts as closed once. */
	assert_int_equal(RUN(test, .flags = FIN | ACK, .sequence = ISN + 9, .empty = 1), STEER_VERDICT_STEERED);
	assert_int_equal(RUN(test, .flags = ACK, .sequence = ISN + 10, .empty = 1), STEER_VERDICT_STEERED);
	assert_int_equal(RUN(test, .flags = FIN | ACK, .sequence = ISN + 9, .empty = 1), STEER_VERDICT_STEERED);
	assert_int_equal(RUN(test, .flags = RST, .sequence = ISN + 10, .empty = 1), STEER_VERDICT_STEERED);
	TABLES(test, 0, 0, 0, 1);
	assert_int_equal(events_of(test, RULE_TCP).closed, 1);
	/* The next one between the same ports. */
	shake_hands(test, 40000);
	TABLES(test, 0, 1, 0, 0);
	assert_int_equal(events_of(test, RULE_TCP).flows, 2);
}

/* A FIN or RST whose number is wrong ends nothing; after one that is right, the connection may go on. */
static void test_forged_end(void **state)
{
	static const unsigned int wrong[] = { ISN + 2 * STEER_WINDOW, ISN - 2 * STEER_WINDOW, 0x40000000, 0x80000000,
					      0xc0000000 };
	static const unsigned char ends[] = { RST, RST | ACK, FIN | ACK };
	struct test *test = *state;

	talk(test, 40000);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		for (size_t k = 0; k < sizeof(ends); k++)
			assert_int_equal(RUN(test, .flags = ends[k], .sequence = wrong[i], .empty = 1),
					 STEER_VERDICT_STEERED);
	TABLES(test, 0, 0, 1, 0);
	assert_int_equal(events_of(test, RULE_TCP).closed, 0);
	for (size_t k = 0; k < sizeof(ends); k++) {
		assert_int_equal(RUN(test, .flags = ends[k], .sequence = ISN + 5, .empty = 1), STEER_VERDICT_STEERED);
		TABLES(test, 0, 0, 0, 1);
		age(test->steer->maps.steer_closed, 67);
		/* Data, or an acknowledgement that does not know of a FIN. */
		assert_int_equal(RUN(test, .flags = ACK, .sequence = ISN + 5, .empty = k != 0), STEER_VERDICT_STEERED);
		TABLES(test, 0, 0, 1, 0);
		assert_int_equal(RUN(test, .flags = ACK, .sequence = ISN + 5, .empty = 1), STEER_VERDICT_STEERED);
	}
	assert_int_equal(events_of(test, RULE_TCP).closed, 0);
	/* A FIN that overtook a segment: what the peer sends behind it ends the flow again. */
	assert_int_equal(RUN(test, .flags = FIN | ACK, .sequence = ISN + 9, .empty = 1), STEER_VERDICT_STEERED);
	assert_int_equal(RUN(test, .flags = ACK, .sequence = ISN + 5), STEER_VERDICT_STEERED);
	TABLES(test, 0, 0, 1, 0);
	assert_int_equal(RUN(test, .flags = ACK, .sequence = ISN + 10, .empty = 1), STEER_VERDICT_STEERED);
	TABLES(test, 0, 0, 0, 1);
}

/* SYNs on an open flow, half open or closing, with a rule and without: none takes it away. */
static void test_forged_syn(void **state)
{
	struct test *test = *state;
	struct steer_rule rule = { .policy = "tcp" };
	unsigned int number = RULE_TCP;

	talk(test, 40000);
	for (int i = 0; i < 3; i++)
		assert_int_equal(RUN(test, .flags = SYN, .sequence = 1000000 * i, .empty = 1), STEER_VERDICT_STEERED);
	TABLES(test, 0, 0, 1, 0);
	set_slot(test, 9000, STEER_TCP, STEER_IN, STEER_SLOT_DRAIN);
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(test->steer->maps.steer_rules), &number, &rule, BPF_ANY), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(RUN(test, .flags = SYN, .sequence = 1000000 * i, .empty = 1), STEER_VERDICT_STEERED);
	assert_int_equal(RUN(test, .flags = ACK, .sequence = ISN + 5), STEER_VERDICT_STEERED);
	TABLES(test, 0, 0, 1, 0);
	/* Nor after a reset that happens to have the right number. */
	assert_int_equal(RUN(test, .flags = RST, .sequence = ISN + 9, .empty = 1), STEER_VERDICT_STEERED);
	for (int i = 1; i < 4; i++)
		assert_int_equal(RUN(test, .flags = SYN, .sequence = 10000000 * i, .empty = 1), STEER_VERDICT_UNNAMED);
	age(test->steer->maps.steer_closed, 67);
	assert_int_equal(RUN(test, .flags = ACK, .sequence = ISN + 9), STEER_VERDICT_STEERED);
	TABLES(test, 0, 0, 1, 0);
}

/* The kernel's own connection that uses a steered port as its local port: nothing of it may be caught. */
static void test_outgoing(void **state)
{
	struct test *test = *state;

	assert_int_equal(RUN(test, .flags = SYN | ACK, .from = 443), STEER_VERDICT_UNNAMED);
	assert_int_equal(RUN(test, .flags = ACK, .from = 443), STEER_VERDICT_MIDSTREAM);
	assert_int_equal(RUN(test, .flags = FIN | ACK, .from = 443), STEER_VERDICT_MIDSTREAM);
	assert_int_equal(flows_in(test->steer->maps.steer_flows), 0);
	/* And one that a rule for `out` names: all of it is. */
	assert_int_equal(RUN(test, .flags = SYN | ACK, .from = 7000, .to = 41000), STEER_VERDICT_STEERED);
	assert_int_equal(RUN(test, .flags = ACK, .from = 7000, .to = 41000), STEER_VERDICT_STEERED);
	/* With no rule for `out` anywhere the source port is not even looked at. */
	set_control(test, false);
	assert_int_equal(RUN(test, .flags = SYN | ACK, .from = 7000, .to = 41001), STEER_VERDICT_UNNAMED);
	set_control(test, true);
}

static void test_rule_taken_away(void **state)
{
	struct test *test = *state;
	struct steer_rule rule = { .policy = "tcp" };
	unsigned int number = RULE_TCP;

	assert_int_equal(RUN(test, .flags = SYN), STEER_VERDICT_STEERED);
	assert_int_equal(RUN(test, .flags = ACK), STEER_VERDICT_STEERED);
	assert_int_equal(RUN(test, .flags = SYN, .from = 40002), STEER_VERDICT_STEERED);
	set_slot(test, 9000, STEER_TCP, STEER_IN, STEER_SLOT_DRAIN);
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(test->steer->maps.steer_rules), &number, &rule, BPF_ANY), 0);
	/* The open flow, and the half-open one whose SYN comes again, stay. New ones are the kernel's. */
	assert_int_equal(RUN(test, .flags = ACK), STEER_VERDICT_STEERED);
	assert_int_equal(RUN(test, .flags = SYN, .from = 40002), STEER_VERDICT_STEERED);
	assert_int_equal(RUN(test, .flags = ACK, .from = 40002), STEER_VERDICT_STEERED);
	assert_int_equal(RUN(test, .flags = SYN, .from = 40003), STEER_VERDICT_UNNAMED);
	assert_int_equal(RUN(test, .flags = ACK, .from = 40003), STEER_VERDICT_MIDSTREAM);
	/* The same four numbers again after a reset: decided anew, so the kernel's now, and its packets too. */
	assert_int_equal(RUN(test, .flags = RST), STEER_VERDICT_STEERED);
	assert_int_equal(RUN(test, .flags = SYN, .sequence = 9000000), STEER_VERDICT_UNNAMED);
	assert_int_equal(RUN(test, .flags = ACK, .sequence = 9000001), STEER_VERDICT_MIDSTREAM);
	/* A peer that lost its memory sends SYN on an open flow: its owner answers, the peer resets, and asks again. */
	assert_int_equal(RUN(test, .flags = SYN, .from = 40002, .sequence = 9000000), STEER_VERDICT_STEERED);
	assert_int_equal(RUN(test, .flags = RST, .from = 40002), STEER_VERDICT_STEERED);
	assert_int_equal(RUN(test, .flags = SYN, .from = 40002, .sequence = 9000000), STEER_VERDICT_UNNAMED);
	assert_int_equal(RUN(test, .flags = ACK, .from = 40002, .sequence = 9000001), STEER_VERDICT_MIDSTREAM);
}

static void test_rule_comes(void **state)
{
	struct test *test = *state;

	assert_int_equal(RUN(test, .flags = SYN, .to = 9500), STEER_VERDICT_UNNAMED);
	set_slot(test, 9500, STEER_TCP, STEER_IN, RULE_TCP);
	assert_int_equal(RUN(test, .flags = ACK, .to = 9500), STEER_VERDICT_MIDSTREAM);
	assert_int_equal(RUN(test, .flags = SYN, .to = 9500, .from = 40001), STEER_VERDICT_STEERED);
}

static void test_no_consumer(void **state)
{
	struct test *test = *state;

	set_seat(test, false);
	assert_int_equal(RUN(test, .protocol = IPPROTO_UDP), STEER_VERDICT_NO_CONSUMER);
	assert_int_equal(RUN(test, .flags = SYN), STEER_VERDICT_NO_CONSUMER);
	assert_int_equal(events_of(test, RULE_UDP).no_consumer, 1);
	assert_int_equal(events_of(test, RULE_TCP).no_consumer, 1);
	/* The kernel has that connection: a consumer that comes now must not get the rest of it. */
	set_seat(test, true);
	assert_int_equal(RUN(test, .flags = ACK), STEER_VERDICT_MIDSTREAM);
	/* One that was steered falls back while nobody is there, and returns. */
	assert_int_equal(RUN(test, .flags = SYN, .from = 40001), STEER_VERDICT_STEERED);
	assert_int_equal(RUN(test, .flags = ACK, .from = 40001), STEER_VERDICT_STEERED);
	set_seat(test, false);
	assert_int_equal(RUN(test, .flags = ACK, .from = 40001), STEER_VERDICT_NO_CONSUMER);
	set_seat(test, true);
	assert_int_equal(RUN(test, .flags = ACK, .from = 40001), STEER_VERDICT_STEERED);
	/* But a connection that starts while nobody is there is the kernel's, even with the numbers of a steered
	 * one. */
	set_seat(test, false);
	assert_int_equal(RUN(test, .flags = SYN, .from = 40001), STEER_VERDICT_NO_CONSUMER);
	set_seat(test, true);
	assert_int_equal(RUN(test, .flags = ACK, .from = 40001), STEER_VERDICT_MIDSTREAM);
	/* Nor does what is known of an attempt to connect outlive one that found nobody. */
	assert_int_equal(RUN(test, .flags = SYN, .from = 40002), STEER_VERDICT_STEERED);
	set_seat(test, false);
	assert_int_equal(RUN(test, .flags = SYN, .from = 40002), STEER_VERDICT_NO_CONSUMER);
	set_seat(test, true);
	assert_int_equal(RUN(test, .flags = ACK, .from = 40002), STEER_VERDICT_MIDSTREAM);
}

/* A rule of an endpoint: a new connection is steered where a program listens, the others are the kernel's. */
static void test_endpoint_listeners(void **state)
{
	struct test *test = *state;
	int rules = bpf_map__fd(test->steer->maps.steer_rules), seats = bpf_map__fd(test->steer->maps.steer_listeners);
	unsigned int seat = STEER_LISTENER(0, 9000), other = STEER_LISTENER(1, 9000);
	unsigned int number = RULE_TCP, one = 1, zero = 0;
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_MMAPABLE);
	struct steer_door *page;
	struct steer_rule rule;
	int door;

	assert_int_equal(bpf_map_lookup_elem(rules, &number, &rule), 0);
	rule.mode = STEER_ENDPOINT;
	assert_int_equal(bpf_map_update_elem(rules, &number, &rule, BPF_ANY), 0);
	assert_int_equal(bpf_map_update_elem(seats, &other, &one, BPF_ANY), 0);
	assert_int_equal(RUN(test, .flags = SYN), STEER_VERDICT_NO_CONSUMER);
	assert_int_equal(bpf_map_update_elem(seats, &seat, &one, BPF_ANY), 0);
	assert_int_equal(RUN(test, .flags = SYN, .from = 40001), STEER_VERDICT_STEERED);
	/* Its program closes the port in the page that it has of the queue's own map, with no agent. */
	door = bpf_map_create(BPF_MAP_TYPE_ARRAY, STEER_DOOR_NAME, sizeof(zero), sizeof(*page), 1, &options);
	assert_true(door >= 0);
	page = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED, door, 0);
	assert_true(page != MAP_FAILED);
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(test->steer->maps.steer_doors), &zero, &door, BPF_ANY), 0);
	page->closed[9000 / 32] = ~(1u << 9000 % 32);
	assert_int_equal(RUN(test, .flags = SYN, .from = 40003), STEER_VERDICT_STEERED);
	page->closed[9000 / 32] = 1u << 9000 % 32;
	assert_int_equal(RUN(test, .flags = SYN, .from = 40004), STEER_VERDICT_NO_CONSUMER);
	assert_int_equal(RUN(test, .flags = ACK, .from = 40001), STEER_VERDICT_STEERED);
	page->closed[9000 / 32] = 0;
	assert_int_equal(RUN(test, .flags = SYN, .from = 40005), STEER_VERDICT_STEERED);
	munmap(page, sizeof(*page));
	close(door);
	/* Its program listens no more: what is open stays. */
	assert_int_equal(bpf_map_delete_elem(seats, &seat), 0);
	assert_int_equal(RUN(test, .flags = SYN, .from = 40002), STEER_VERDICT_NO_CONSUMER);
	assert_int_equal(RUN(test, .flags = ACK, .from = 40001), STEER_VERDICT_STEERED);
}

static void test_idle(void **state)
{
	struct test *test = *state;
	const struct bpf_map *tables[] = { test->steer->maps.steer_silent, test->steer->maps.steer_flows };

	for (size_t i = 0; i < 2; i++) {
		if (i)
			talk(test, 40000);
		else
			shake_hands(test, 40000);
		age(tables[i], STEER_IDLE_OPEN - 10);
		assert_int_equal(RUN(test, .flags = ACK, .sequence = ISN + 5), STEER_VERDICT_STEERED);
		/* That packet counted as life. */
		age(tables[i], STEER_IDLE_OPEN - 10);
		assert_int_equal(RUN(test, .flags = ACK, .sequence = ISN + 9), STEER_VERDICT_STEERED);
		age(tables[i], STEER_IDLE_OPEN + 10);
		assert_int_equal(RUN(test, .flags = ACK), STEER_VERDICT_MIDSTREAM);
		TABLES(test, 0, 0, 0, 0);
	}
	assert_int_equal(RUN(test, .flags = SYN), STEER_VERDICT_STEERED);
	age(test->steer->maps.steer_syns, STEER_IDLE_SYN + 10);
	assert_int_equal(RUN(test, .flags = ACK), STEER_VERDICT_MIDSTREAM);
	/* Seen by another CPU a moment later than this one's clock says. */
	talk(test, 40000);
	age(test->steer->maps.steer_flows, -1);
	assert_int_equal(RUN(test, .flags = ACK, .sequence = ISN + 5), STEER_VERDICT_STEERED);
	/* A closing one waits as long for a packet that shows that it was not. */
	assert_int_equal(RUN(test, .flags = FIN | ACK, .sequence = ISN + 9), STEER_VERDICT_STEERED);
	age(test->steer->maps.steer_closed, STEER_IDLE_OPEN + 10);
	assert_int_equal(RUN(test, .flags = ACK, .sequence = ISN + 9), STEER_VERDICT_MIDSTREAM);
}

/* ------------------------------------------------------------------ what fills the tables */

/* Runs a frame of an IPv4 peer among 16 million others, without a look at what became of it. */
static void run_peer(struct test *test, struct frame *frame, unsigned int peer)
{
	struct xdp_md context = { .data_end = frame->length, .ingress_ifindex = if_nametoindex("lo") };
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame->bytes, .data_size_in = frame->length,
		    .ctx_in = &context, .ctx_size_in = sizeof(context));

	frame->bytes[26] = 11; /* 11.0.0.0/8 */
	frame->bytes[27] = peer >> 16;
	frame->bytes[28] = peer >> 8;
	frame->bytes[29] = peer;
	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(test->steer->progs.xsk_def_prog), &options), 0);
}

/* One that talked, one that only shook hands. */
static void open_two(struct test *test)
{
	talk(test, 40000);
	shake_hands(test, 40001);
}

static void both_live(struct test *test)
{
	assert_int_equal(RUN(test, .flags = ACK, .sequence = ISN + 5), STEER_VERDICT_STEERED);
	assert_int_equal(RUN(test, .flags = ACK, .from = 40001, .sequence = ISN + 1), STEER_VERDICT_STEERED);
}

/* SYNs from everywhere fill the table of half-open flows, and only that one. */
static void test_syn_flood(void **state)
{
	struct test *test = *state;
	struct frame syn = make_frame(&(struct shape){ .flags = SYN });

	open_two(test);
	for (unsigned int i = 0, count = repeats(3 * STEER_SYNS_MAX); i < count; i++)
		run_peer(test, &syn, i);
	assert_true(flows_in(test->steer->maps.steer_syns) <= STEER_SYNS_MAX);
	both_live(test);
}

/* Handshakes that nobody makes: a SYN and an acknowledgement of what was never seen. */
static void test_forged_handshakes(void **state)
{
	struct test *test = *state;
	struct frame syn = make_frame(&(struct shape){ .flags = SYN, .sequence = ISN, .empty = 1 });
	struct frame ack = make_frame(&(struct shape){ .flags = ACK, .sequence = ISN + 1, .acknowledged = 77 });

	open_two(test);
	for (unsigned int i = 0, count = repeats(STEER_SILENT_MAX + 2 * STEER_SYNS_MAX); i < count; i++) {
		run_peer(test, &syn, i);
		run_peer(test, &ack, i);
	}
	both_live(test);
	/* And whoever really talks gets in, and is safe. */
	talk(test, 40002);
	for (unsigned int i = 0, count = repeats(20000); i < count; i++) {
		run_peer(test, &syn, 200000 + i);
		run_peer(test, &ack, 200000 + i);
	}
	assert_int_equal(RUN(test, .flags = ACK, .from = 40002, .sequence = ISN + 5), STEER_VERDICT_STEERED);
}

/* Short connections, opened and closed properly. */
static void test_short_connections(void **state)
{
	static const struct shape life[] = {
		{ .flags = SYN, .sequence = ISN, .empty = 1 },
		{ .flags = ACK, .sequence = ISN + 1, .acknowledged = ANSWERED },
		{ .flags = ACK | FIN, .sequence = ISN + 5, .acknowledged = ANSWERED + 4, .empty = 1 },
	};
	struct test *test = *state;
	struct frame frames[3];

	for (size_t i = 0; i < 3; i++)
		frames[i] = make_frame(&life[i]);
	open_two(test);
	for (unsigned int i = 0, count = repeats(135000); i < count; i++)
		for (size_t k = 0; k < 3; k++)
			run_peer(test, &frames[k], i);
	assert_int_equal(flows_in(test->steer->maps.steer_flows), 1);
	assert_int_equal(flows_in(test->steer->maps.steer_silent), 1);
	both_live(test);
}

/* Puts so many flows of nobody into a table. */
static void fill(const struct bpf_map *map, unsigned int count)
{
	struct steer_flow_key *keys = calloc(count, sizeof(*keys));
	struct steer_flow *flows = calloc(count, sizeof(*flows));

	for (unsigned int i = 0; i < count; i++) {
		memcpy(keys[i].remote, &i, sizeof(i));
		flows[i].state = STEER_OPEN;
	}
	assert_int_equal(bpf_map_update_batch(bpf_map__fd(map), keys, flows, &count, NULL), 0);
	free(keys);
	free(flows);
}

/* More than there is room for: those that came first stay, and the last is served too. */
static void test_full(void **state)
{
	static const struct shape life[] = {
		{ .flags = SYN, .sequence = ISN, .empty = 1 },
		{ .flags = ACK, .sequence = ISN + 1, .acknowledged = ANSWERED },
		{ .flags = ACK, .sequence = ISN + 5, .acknowledged = ANSWERED + 4, .empty = 1 },
	};
	struct test *test = *state;
	struct frame frames[3];

	for (size_t i = 0; i < 3; i++)
		frames[i] = make_frame(&life[i]);
	open_two(test);
	fill(test->steer->maps.steer_flows, STEER_FLOWS_MAX - 10);
	fill(test->steer->maps.steer_silent, STEER_SILENT_MAX - 10);
	for (unsigned int i = 0, count = repeats(3 * STEER_SYNS_MAX); i < count; i++)
		for (size_t k = 0; k < 3; k++)
			run_peer(test, &frames[k], i);
	both_live(test);
	talk(test, 40002);
	assert_int_equal(RUN(test, .flags = ACK, .from = 40002, .sequence = ISN + 5), STEER_VERDICT_STEERED);
}

/* ------------------------------------------------------------------ the kernel's own connections */

/* A SYN, forged or delivered twice, on a connection that the kernel has: it stays the kernel's. */
static void kernel_connection(struct test *test, const char *address)
{
	struct sockaddr_in6 name = { .sin6_family = AF_INET6 }, peer;
	socklen_t size = sizeof(name);
	int listener = socket(AF_INET6, SOCK_STREAM, 0), client = socket(AF_INET6, SOCK_STREAM, 0), server, zero = 0;
	bool four = strchr(address, '.');
	struct shape shape = { .version = four ? 4 : 6,
			       .flags = SYN,
			       .empty = 1,
			       .remote = four ? "127.0.0.1" : "::1",
			       .local = four ? "127.0.0.1" : "::1" };

	setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
	assert_int_equal(inet_pton(AF_INET6, address, &name.sin6_addr), 1);
	assert_int_equal(bind(listener, (struct sockaddr *)&name, sizeof(name)), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&name, &size), 0);
	assert_int_equal(connect(client, (struct sockaddr *)&name, sizeof(name)), 0);
	server = accept(listener, NULL, NULL);
	size = sizeof(peer);
	assert_int_equal(getsockname(client, (struct sockaddr *)&peer, &size), 0);
	shape.from = ntohs(peer.sin6_port);
	shape.to = ntohs(name.sin6_port);
	set_slot(test, shape.to, STEER_TCP, STEER_IN, RULE_TRANSIT);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(run_shape(test, &shape), STEER_VERDICT_MIDSTREAM);
		shape.sequence += 100000;
	}
	TABLES(test, 0, 0, 0, 0);
	/* Any other is steered, and so is the next one between these ports once the kernel's has ended. */
	shape.from ^= 1;
	assert_int_equal(run_shape(test, &shape), STEER_VERDICT_STEERED);
	shape.from ^= 1;
	close(server);
	close(client);
	assert_int_equal(run_shape(test, &shape), STEER_VERDICT_STEERED);
	close(listener);
	forget(test->steer->maps.steer_syns);
}

static void test_kernel_connection(void **state)
{
	kernel_connection(*state, "::ffff:127.0.0.1");
	kernel_connection(*state, "::1");
}

static void test_presence(void **state)
{
	struct test *test = *state;
	char packet[64] = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet, .data_size_in = sizeof(packet));
	unsigned int seat, queue = 0;

	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(test->steer->progs.steer_presence), &options), 0);
	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(test->steer->maps.steer_seats), &queue, &seat), 0);
	assert_int_equal(seat, 1);
	queue = 1;
	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(test->steer->maps.steer_seats), &queue, &seat), 0);
	assert_int_equal(seat, 0);
	set_seat(test, false);
	queue = 0;
	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(test->steer->progs.steer_presence), &options), 0);
	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(test->steer->maps.steer_seats), &queue, &seat), 0);
	assert_int_equal(seat, 0);
}

/* libxdp adopts a program by three things: its name, its map, and a version in the BTF. */
static void test_adoptable(void **state)
{
	struct test *test = *state;
	const struct btf *btf = bpf_object__btf(test->steer->obj);
	struct bpf_map_info map = { 0 };
	unsigned int length = sizeof(map);

	assert_string_equal(bpf_program__name(test->steer->progs.xsk_def_prog), "xsk_def_prog");
	assert_int_equal(bpf_obj_get_info_by_fd(bpf_map__fd(test->steer->maps.xsks_map), &map, &length), 0);
	assert_string_equal(map.name, "xsks_map");
	assert_int_equal(map.type, BPF_MAP_TYPE_XSKMAP);
	assert_int_equal(map.key_size, 4);
	assert_int_equal(map.value_size, 4);
	assert_true(btf__find_by_name_kind(btf, "xdp_metadata", BTF_KIND_DATASEC) > 0);
	assert_true(btf__find_by_name_kind(btf, "xsk_prog_version", BTF_KIND_VAR) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_table, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nonsense, setup, teardown),
		cmocka_unit_test_setup_teardown(test_connection, setup, teardown),
		cmocka_unit_test_setup_teardown(test_outgoing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rule_taken_away, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rule_comes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_consumer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_endpoint_listeners, setup, teardown),
		cmocka_unit_test_setup_teardown(test_idle, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forged_end, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forged_syn, setup, teardown),
		cmocka_unit_test_setup_teardown(test_syn_flood, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forged_handshakes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_short_connections, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kernel_connection, setup, teardown),
		cmocka_unit_test_setup_teardown(test_presence, setup, teardown),
		cmocka_unit_test_setup_teardown(test_adoptable, setup, teardown),
	};

	if (geteuid() || socket(AF_XDP, SOCK_RAW, 0) < 0) {
		printf("1..1\nok 1 - steering program # SKIP needs root and AF_XDP\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
