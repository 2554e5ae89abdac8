/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The reflector: what it answers, how, and what it must not answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fastpath/reflect.h"
#include "frame.h"

static const uint8_t self[6] = { 2, 0, 0, 0, 0, 2 }, peer[6] = { 2, 0, 0, 0, 0, 1 };

static struct reflect_options anyone(void)
{
	struct reflect_options options = { 0 };

	memcpy(options.mac, self, 6);
	return options;
}

static struct reflect_state seen;

/* A new reflector: it has seen nothing. */
static int setup(void **state)
{
	echoes_free(seen.echoes);
	seen = (struct reflect_state){ .echoes = echoes_new(), .seed = 7, .now_ns = 1000000000 };
	return seen.echoes ? 0 : -1;
}

static bool reflected(const struct reflect_options *options, uint8_t *frame, uint32_t length)
{
	return reflect_frame(options, &seen, frame, length);
}

/* Owns 10.0.0.2 and fd00::2, the targets of every frame made here. */
static struct reflect_options owner(void)
{
	struct reflect_options options = anyone();

	memset(options.addresses[0] + 10, 0xff, 2);
	put32(options.addresses[0] + 12, 0x0a000002);
	options.addresses[1][0] = 0xfd;
	options.addresses[1][15] = 2;
	options.address_count = 2;
	return options;
}

/* An echo request or a UDP datagram with 21 bytes of data. */
static uint32_t make(uint8_t *frame, bool v6, int vlans, bool udp)
{
	struct frame_spec spec = { .v6 = v6, .vlans = vlans, .tci = 9, .ttl = 64 };
	uint8_t protocol = udp ? 17 : v6 ? 58 : 1;
	uint32_t at;

	memset(frame, 0, 256);
	at = frame_head(frame, &spec, protocol, 8 + 21);
	for (int i = 0; i < 21; i++)
		frame[at + 8 + i] = 100 + i;
	if (udp) {
		put16(frame + at, 5555);
		put16(frame + at + 2, 9000);
		put16(frame + at + 4, 29);
	} else {
		frame[at] = v6 ? 128 : 8;
		put32(frame + at + 4, 0x12340001);
	}
	frame_sum(frame, protocol, udp ? 6 : 2);
	return at + 29;
}

static void answers_echo_and_udp(void **state)
{
	for (int variant = 0; variant < 24; variant++) {
		bool v6 = variant & 1, udp = variant & 2;
		struct reflect_options options = variant & 4 ? owner() : anyone();
		uint8_t frame[256], request[256];
		uint32_t length = make(frame, v6, variant / 8, udp), l3 = frame_l3(frame), l4 = frame_l4(frame);

		memcpy(request, frame, length);
		assert_true(reflected(&options, frame, length));
		assert_memory_equal(frame, peer, 6);
		assert_memory_equal(frame + 6, self, 6);
		assert_memory_equal(frame + 12, request + 12, l3 - 12); /* the VLAN tags */
		assert_memory_equal(frame + l3 + (v6 ? 8 : 12), request + l3 + (v6 ? 24 : 16), v6 ? 16 : 4);
		assert_memory_equal(frame + l3 + (v6 ? 24 : 16), request + l3 + (v6 ? 8 : 12), v6 ? 16 : 4);
		assert_int_equal(frame[l3 + (v6 ? 7 : 8)], 63);
		if (udp) {
			assert_int_equal(get16(frame + l4), 9000);
			assert_int_equal(get16(frame + l4 + 2), 5555);
		} else {
			assert_int_equal(frame[l4], v6 ? 129 : 0);
		}
		assert_memory_equal(frame + l4 + 8, request + l4 + 8, 21);
		assert_true(frame_sums_right(frame, udp ? 17 : v6 ? 58 : 1));
	}
}

/* Each changes a request so that it must not be answered. */
struct refusal {
	const char *what;
	bool v6, udp;
	void (*spoil)(uint8_t *frame);
};

static void resum(uint8_t *frame)
{
	uint8_t protocol = frame[frame_l3(frame)] >> 4 == 6 ? frame[frame_l3(frame) + 6] : frame[frame_l3(frame) + 9];

	frame_sum(frame, protocol, protocol == 17 ? 6 : 2);
}

/* clang-format off */
static void other_station(uint8_t *frame) { frame[5] = 9; }
static void broadcast(uint8_t *frame) { memset(frame, 0xff, 6); }
static void group_source(uint8_t *frame) { frame[6] |= 1; }
static void last_hop(uint8_t *frame) { frame[14 + 8] = 1, resum(frame); }
static void last_hop6(uint8_t *frame) { frame[14 + 7] = 1; }
static void from_multicast(uint8_t *frame) { frame[14 + 12] = 224, resum(frame); }
static void from_nobody(uint8_t *frame) { put32(frame + 14 + 12, 0), resum(frame); }
static void to_broadcast(uint8_t *frame) { put32(frame + 14 + 16, 0xffffffff), resum(frame); }
static void from_nobody6(uint8_t *frame) { memset(frame + 14 + 8, 0, 16), resum(frame); }
static void to_multicast6(uint8_t *frame) { frame[14 + 24] = 0xff, resum(frame); }
static void bad_ip_sum(uint8_t *frame) { frame[14 + 10] ^= 1; }
static void bad_sum(uint8_t *frame) { frame[frame_l4(frame) + 12] ^= 1; }
static void a_reply(uint8_t *frame) { frame[34] = 0, resum(frame); }
static void a_reply6(uint8_t *frame) { frame[54] = 129, resum(frame); }
static void a_code(uint8_t *frame) { frame[35] = 1, resum(frame); }
static void no_port(uint8_t *frame) { put16(frame + frame_l4(frame), 0), resum(frame); }
static void from_echo(uint8_t *frame) { put16(frame + frame_l4(frame), 7), resum(frame); }
static void from_a_service(uint8_t *frame) { put16(frame + frame_l4(frame), 1023), resum(frame); }
static void from_the_same(uint8_t *frame) { put16(frame + frame_l4(frame), 9000), resum(frame); }
static void short_udp(uint8_t *frame) { put16(frame + frame_l4(frame) + 4, 20), resum(frame); }
static void no_sum6(uint8_t *frame) { put16(frame + frame_l4(frame) + 6, 0); }
static void a_fragment(uint8_t *frame) { frame[14 + 7] = 1, resum(frame); }
/* clang-format on */

static const struct refusal refusals[] = {
	{ "other station", 0, 0, other_station },
	{ "broadcast", 0, 1, broadcast },
	{ "group source", 0, 1, group_source },
	{ "last hop", 0, 1, last_hop },
	{ "last hop, IPv6", 1, 1, last_hop6 },
	{ "from multicast", 0, 1, from_multicast },
	{ "from 0.0.0.0", 0, 0, from_nobody },
	{ "to broadcast", 0, 0, to_broadcast },
	{ "from ::", 1, 0, from_nobody6 },
	{ "to multicast", 1, 0, to_multicast6 },
	{ "IP checksum", 0, 1, bad_ip_sum },
	{ "ICMP checksum", 0, 0, bad_sum },
	{ "ICMPv6 checksum", 1, 0, bad_sum },
	{ "UDP checksum", 0, 1, bad_sum },
	{ "a reply", 0, 0, a_reply },
	{ "a reply, IPv6", 1, 0, a_reply6 },
	{ "a code", 0, 0, a_code },
	{ "port 0", 0, 1, no_port },
	{ "from port 7", 0, 1, from_echo },
	{ "from port 7, IPv6", 1, 1, from_echo },
	{ "from port 1023", 0, 1, from_a_service },
	{ "from the port it is for", 0, 1, from_the_same },
	{ "UDP length", 0, 1, short_udp },
	{ "no checksum, IPv6", 1, 1, no_sum6 },
	{ "fragment", 0, 1, a_fragment },
};

static void leaves_the_rest_alone(void **state)
{
	struct reflect_options options = anyone();

	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		uint8_t frame[256], before[256];
		uint32_t length = make(frame, refusals[i].v6, 0, refusals[i].udp);

		refusals[i].spoil(frame);
		memcpy(before, frame, length);
		if (reflected(&options, frame, length))
			fail_msg("%s: answered", refusals[i].what);
		assert_memory_equal(frame, before, length);
	}
}

/* With a list of ports: only on those, and to none of them. */
static void ports_are_answered_on(void **state)
{
	static const struct {
		uint16_t from, to;
		bool answered;
	} cases[] = { { 5555, 9000, true },  { 5555, 9001, true },  { 5555, 9002, false },
		      { 9001, 9000, false }, { 9000, 9001, false }, { 9002, 9001, true } };
	struct reflect_options options = anyone();

	options.some_ports = true;
	options.ports[9000 / 64] |= 1ull << 9000 % 64 | 1ull << 9001 % 64;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t frame[256];
		uint32_t length = make(frame, false, 0, true);

		put16(frame + frame_l4(frame), cases[i].from);
		put16(frame + frame_l4(frame) + 2, cases[i].to);
		resum(frame);
		assert_int_equal(reflected(&options, frame, length), cases[i].answered);
	}
}

static void udp_without_checksum_is_fine_on_ipv4(void **state)
{
	struct reflect_options options = anyone();
	uint8_t frame[256];
	uint32_t length = make(frame, false, 0, true);

	put16(frame + 34 + 6, 0);
	assert_true(reflected(&options, frame, length));
	assert_int_equal(get16(frame + 34 + 6), 0);
}

static void answers_for_its_own_addresses_only(void **state)
{
	for (int v6 = 0; v6 < 2; v6++) {
		struct reflect_options options = owner();
		uint8_t frame[256];
		uint32_t length = make(frame, v6, 0, false);

		options.addresses[v6][15] ^= 1;
		assert_false(reflected(&options, frame, length));
	}
}

static void answers_arp(void **state)
{
	static const uint8_t head[] = { 0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1 };
	struct reflect_options mine = owner(), none = anyone();
	uint8_t frame[60] = { 0 }, before[60];

	memset(frame, 0xff, 6);
	memcpy(frame + 6, peer, 6);
	memcpy(frame + 12, head, sizeof(head));
	memcpy(frame + 22, peer, 6);
	put32(frame + 28, 0x0a000001);
	put32(frame + 38, 0x0a000002);
	memcpy(before, frame, sizeof(frame));
	assert_false(reflected(&none, frame, sizeof(frame)));
	assert_false(reflected(&mine, frame, 41));
	assert_memory_equal(frame, before, sizeof(frame));
	assert_true(reflected(&mine, frame, sizeof(frame)));
	assert_memory_equal(frame, peer, 6);
	assert_int_equal(frame[21], 2);
	assert_memory_equal(frame + 22, self, 6);
	assert_int_equal(get32(frame + 28), 0x0a000002);
	assert_memory_equal(frame + 32, peer, 6);
	assert_int_equal(get32(frame + 38), 0x0a000001);
	memcpy(frame, before, sizeof(frame));
	frame[41] = 3;
	assert_false(reflected(&mine, frame, sizeof(frame)));
}

static void answers_neighbour_solicitation(void **state)
{
	struct frame_spec spec = { .v6 = true, .ttl = 255 };
	struct reflect_options mine = owner(), none = anyone();
	uint8_t frame[256] = { 0 }, before[256];
	uint32_t at = frame_head(frame, &spec, 58, 32);

	frame[0] = frame[1] = 0x33;
	frame[at] = 135;
	memcpy(frame + at + 8, frame + 14 + 24, 16);
	frame[14 + 24] = 0xff; /* to a group, as solicitations go */
	frame[at + 24] = frame[at + 25] = 1;
	memcpy(frame + at + 26, peer, 6);
	frame_sum(frame, 58, 2);
	memcpy(before, frame, sizeof(frame));
	assert_false(reflected(&none, frame, at + 32));
	assert_true(reflected(&mine, frame, at + 32));
	assert_memory_equal(frame, peer, 6);
	assert_int_equal(frame[at], 136);
	assert_int_equal(frame[at + 4], 0x60);
	assert_memory_equal(frame + at + 26, self, 6);
	assert_int_equal(frame[at + 24], 2);
	assert_memory_equal(frame + 14 + 8, frame + at + 8, 16);
	assert_int_equal(frame[14 + 7], 255);
	assert_true(frame_sums_right(frame, 58));
	/* From beyond a router: forged. */
	memcpy(frame, before, sizeof(frame));
	frame[14 + 7] = 254;
	assert_false(reflected(&mine, frame, at + 32));
}

/* The datagram `which` of `from` to port 9000, once: is it answered? */
static bool asked(uint16_t from, uint32_t which)
{
	struct reflect_options options = anyone();
	uint8_t frame[256];
	uint32_t length = make(frame, false, 0, true);

	put16(frame + frame_l4(frame), from);
	put32(frame + frame_l4(frame) + 8, which);
	resum(frame);
	return reflected(&options, frame, length);
}

/* What comes again and again is an answer to our answer. */
static void loops_end(void **state)
{
	uint32_t count = 0;

	while (asked(5000, 1) && count < 1000)
		count++;
	assert_int_equal(count, ECHOES_BURST);
	assert_true(asked(5000, 2));
	assert_true(asked(5001, 1));
	seen.now_ns += 1000000000;
	for (count = 0; asked(5000, 1) && count < 1000;)
		count++;
	assert_int_equal(count, ECHOES_PER_SECOND);
	/* Two of them between the same ends do not hide each other. */
	for (count = 0; count < 1000 && (asked(5002, 1) | asked(5002, 2));)
		count++;
	assert_int_equal(count, ECHOES_BURST);
}

/* Nor does other traffic hide one that takes long for a turn, and that traffic is all answered. */
static void loops_end_among_other_traffic(void **state)
{
	uint32_t count = 0, other = 0;

	for (; asked(5000, 0) && count < 1000; count++) {
		for (int i = 0; i < 2000; i++)
			assert_true(asked(6000 + i % 50, ++other));
		seen.now_ns += 10000000;
	}
	assert_in_range(count, ECHOES_BURST, ECHOES_BURST + 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(answers_echo_and_udp, setup),
		cmocka_unit_test_setup(leaves_the_rest_alone, setup),
		cmocka_unit_test_setup(udp_without_checksum_is_fine_on_ipv4, setup),
		cmocka_unit_test_setup(ports_are_answered_on, setup),
		cmocka_unit_test_setup(loops_end, setup),
		cmocka_unit_test_setup(loops_end_among_other_traffic, setup),
		cmocka_unit_test_setup(answers_for_its_own_addresses_only, setup),
		cmocka_unit_test_setup(answers_arp, setup),
		cmocka_unit_test_setup(answers_neighbour_solicitation, setup),
	};

	return cmocka_run_group_tests_name("fastpath_reflect", tests, NULL, NULL);
}
