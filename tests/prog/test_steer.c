/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The steering program, packet by packet (BPF_PROG_TEST_RUN): every layer, well formed and not, and the life of a TCP
 * flow. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <bpf/btf.h>
#include <linux/btf.h>
#include <net/if.h>

#include "steer_frame.h"
#include "steer_set.h"

enum { FIN = 0x01, SYN = 0x02, RST = 0x04, PSH = 0x08, ACK = 0x10 };

/* Rules of the table below. All are on port 9000 unless said otherwise. */
enum {
	RULE_TCP = 1,		/* TCP in */
	RULE_UDP,		/* UDP in */
	RULE_PEER,		/* TCP and UDP in, port 9001, peers 10.0.0.0/8 and fd00::/16 */
	RULE_NARROW,		/* the same, peer 10.1.0.0/16: the longer prefix decides */
	RULE_OUT,		/* TCP and UDP out, port 7000 */
	RULE_QUEUE,		/* UDP in, port 9002, queue 1 only */
	RULE_PING,		/* ICMP in */
};

struct test {
	struct steer_bpf *steer;
	int socket;		/* AF_XDP */
};

/* ------------------------------------------------------------------ the program */

static void set_seat(struct test *test, bool there)
{
	unsigned int queue = 0;

	if (there)
		assert_int_equal(
			bpf_map_update_elem(bpf_map__fd(test->steer->maps.xsks_map), &queue, &test->socket, BPF_ANY),
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
	struct steer_rule rule = { .active = 1, .mode = STEER_AF_XDP, .queues = { queues } };

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

static int setup(void **state)
{
	struct test *test = calloc(1, sizeof(*test));
	struct steer_tables tables;

	test->steer = steer_load(&tables);
	test->socket = steer_socket();
	if (!test->steer || test->socket < 0)
		return -1;
	set_rule(test, RULE_TCP, "tcp", ~0ull);
	set_rule(test, RULE_UDP, "udp", ~0ull);
	set_rule(test, RULE_PEER, "peer", ~0ull);
	set_rule(test, RULE_NARROW, "narrow", ~0ull);
	set_rule(test, RULE_OUT, "out", ~0ull);
	set_rule(test, RULE_QUEUE, "queue", 2);
	set_rule(test, RULE_PING, "ping", ~0ull);
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
	unsigned int rule;	/* that counts it, if steered */
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
	for (unsigned int round = 0; round < 3000; round++) {
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

static void test_connection(void **state)
{
	struct test *test = *state;

	assert_int_equal(RUN(test, .flags = ACK), STEER_VERDICT_MIDSTREAM);
	assert_int_equal(RUN(test, .flags = SYN), STEER_VERDICT_STEERED);
	assert_int_equal(flows_in(test->steer->maps.steer_syns), 1);
	assert_int_equal(flows_in(test->steer->maps.steer_flows), 0);
	assert_int_equal(RUN(test, .flags = ACK), STEER_VERDICT_STEERED);
	assert_int_equal(flows_in(test->steer->maps.steer_syns), 0);
	assert_int_equal(flows_in(test->steer->maps.steer_flows), 1);
	assert_int_equal(RUN(test, .flags = ACK | PSH), STEER_VERDICT_STEERED);
	/* Neighbours in every part of the key are other flows. */
	assert_int_equal(RUN(test, .flags = ACK, .from = 40001), STEER_VERDICT_MIDSTREAM);
	assert_int_equal(RUN(test, .flags = ACK, .remote = "192.0.2.9"), STEER_VERDICT_MIDSTREAM);
	assert_int_equal(RUN(test, .flags = ACK, .local = "192.0.2.9"), STEER_VERDICT_MIDSTREAM);
	assert_int_equal(RUN(test, .flags = ACK, .vlans = { 0x8100 }), STEER_VERDICT_MIDSTREAM);
	assert_int_equal(RUN(test, .flags = ACK, .version = 6), STEER_VERDICT_MIDSTREAM);
	assert_int_equal(events_of(test, RULE_TCP).flows, 1);
	assert_int_equal(events_of(test, RULE_TCP).closed, 0);
	/* After FIN the rest of the conversation still arrives; it counts as closed once. */
	assert_int_equal(RUN(test, .flags = FIN | ACK), STEER_VERDICT_STEERED);
	assert_int_equal(RUN(test, .flags = ACK), STEER_VERDICT_STEERED);
	assert_int_equal(RUN(test, .flags = RST), STEER_VERDICT_STEERED);
	assert_int_equal(events_of(test, RULE_TCP).closed, 1);
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
	assert_int_equal(RUN(test, .flags = SYN), STEER_VERDICT_UNNAMED);
	assert_int_equal(RUN(test, .flags = ACK), STEER_VERDICT_MIDSTREAM);
	/* A peer that lost its memory sends SYN on an open flow: its owner answers once, the next one is decided anew.
	 */
	assert_int_equal(RUN(test, .flags = SYN, .from = 40002), STEER_VERDICT_STEERED);
	assert_int_equal(RUN(test, .flags = SYN, .from = 40002), STEER_VERDICT_UNNAMED);
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
	/* But a connection that starts while nobody is there is the kernel's, even with the numbers of a steered one.
	 */
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

/* A rule of an endpoint: a new connection is steered where a program listens, the others are the kernel's. */
static void test_endpoint_listeners(void **state)
{
	struct test *test = *state;
	int rules = bpf_map__fd(test->steer->maps.steer_rules), seats = bpf_map__fd(test->steer->maps.steer_listeners);
	unsigned int number = RULE_TCP, seat = STEER_LISTENER(0, 9000), other = STEER_LISTENER(1, 9000), one = 1;
	struct steer_rule rule;

	assert_int_equal(bpf_map_lookup_elem(rules, &number, &rule), 0);
	rule.mode = STEER_ENDPOINT;
	assert_int_equal(bpf_map_update_elem(rules, &number, &rule, BPF_ANY), 0);
	assert_int_equal(bpf_map_update_elem(seats, &other, &one, BPF_ANY), 0);
	assert_int_equal(RUN(test, .flags = SYN), STEER_VERDICT_NO_CONSUMER);
	assert_int_equal(bpf_map_update_elem(seats, &seat, &one, BPF_ANY), 0);
	assert_int_equal(RUN(test, .flags = SYN, .from = 40001), STEER_VERDICT_STEERED);
	/* Its program listens no more: what is open stays. */
	assert_int_equal(bpf_map_delete_elem(seats, &seat), 0);
	assert_int_equal(RUN(test, .flags = SYN, .from = 40002), STEER_VERDICT_NO_CONSUMER);
	assert_int_equal(RUN(test, .flags = ACK, .from = 40001), STEER_VERDICT_STEERED);
}

static void test_idle(void **state)
{
	struct test *test = *state;

	assert_int_equal(RUN(test, .flags = SYN), STEER_VERDICT_STEERED);
	assert_int_equal(RUN(test, .flags = ACK), STEER_VERDICT_STEERED);
	age(test->steer->maps.steer_flows, STEER_IDLE_OPEN - 10);
	assert_int_equal(RUN(test, .flags = ACK), STEER_VERDICT_STEERED);
	/* That packet counted as life. */
	age(test->steer->maps.steer_flows, STEER_IDLE_OPEN - 10);
	assert_int_equal(RUN(test, .flags = ACK), STEER_VERDICT_STEERED);
	age(test->steer->maps.steer_flows, STEER_IDLE_OPEN + 10);
	assert_int_equal(RUN(test, .flags = ACK), STEER_VERDICT_MIDSTREAM);
	assert_int_equal(flows_in(test->steer->maps.steer_flows), 0);

	assert_int_equal(RUN(test, .flags = SYN), STEER_VERDICT_STEERED);
	age(test->steer->maps.steer_syns, STEER_IDLE_SYN + 10);
	assert_int_equal(RUN(test, .flags = ACK), STEER_VERDICT_MIDSTREAM);

	assert_int_equal(RUN(test, .flags = SYN), STEER_VERDICT_STEERED);
	assert_int_equal(RUN(test, .flags = FIN | ACK), STEER_VERDICT_STEERED);
	age(test->steer->maps.steer_flows, STEER_IDLE_CLOSING + 10);
	assert_int_equal(RUN(test, .flags = ACK), STEER_VERDICT_MIDSTREAM);
}

/* SYNs from everywhere fill the table of half-open flows, and only that one. */
static void test_syn_flood(void **state)
{
	struct test *test = *state;
	struct frame frame;
	struct xdp_md context = { .ingress_ifindex = if_nametoindex("lo") };

	assert_int_equal(RUN(test, .flags = SYN), STEER_VERDICT_STEERED);
	assert_int_equal(RUN(test, .flags = ACK), STEER_VERDICT_STEERED);
	frame = make_frame(&(struct shape){ .flags = SYN });
	context.data_end = frame.length;
	for (unsigned int i = 0; i < 3 * STEER_SYNS_MAX; i++) {
		LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame.bytes, .data_size_in = frame.length,
			    .ctx_in = &context, .ctx_size_in = sizeof(context));

		frame.bytes[26] = 11; /* 11.0.0.0/8 */
		frame.bytes[27] = i >> 16;
		frame.bytes[28] = i >> 8;
		frame.bytes[29] = i;
		assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(test->steer->progs.xsk_def_prog), &options), 0);
	}
	assert_true(flows_in(test->steer->maps.steer_syns) <= STEER_SYNS_MAX);
	assert_int_equal(RUN(test, .flags = ACK), STEER_VERDICT_STEERED);
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
		cmocka_unit_test_setup_teardown(test_syn_flood, setup, teardown),
		cmocka_unit_test_setup_teardown(test_presence, setup, teardown),
		cmocka_unit_test_setup_teardown(test_adoptable, setup, teardown),
	};

	if (geteuid() || socket(AF_XDP, SOCK_RAW, 0) < 0) {
		printf("1..1\nok 1 - steering program # SKIP needs root and AF_XDP\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
