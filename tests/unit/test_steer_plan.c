/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The policy that steers is the one that wins: the plan against what the data path and `policy show --match` do. */
#include <arpa/inet.h>
#include <stdio.h>

#include "policy/fixture.h"
#include "policy/steered.h"
#include "steer/steer_plan.h"

#define STEER "mode = observe\nsteer = af_xdp\ninterface = eth0\n"
#define POLICIES 12

static bool holds(const struct plan_peer *prefix, const uint8_t address[16])
{
	for (int i = 0; i < prefix->bits; i++)
		if ((prefix->address[i / 8] ^ address[i / 8]) & 0x80 >> i % 8)
			return false;
	return true;
}

/* As the steering program does it: by the port's slot, then by the longest prefix in its group. */
static const char *steered(const struct steer_plan *plan, uint32_t slot, const uint8_t peer[16])
{
	const struct plan_peer *found = NULL;
	uint32_t rule = slot;

	for (size_t i = 0; slot & STEER_SLOT_GROUP && i < plan->peer_count; i++) {
		const struct plan_peer *p = &plan->peers[i];

		if (p->group == (slot & ~STEER_SLOT_GROUP) && holds(p, peer) && (!found || p->bits > found->bits))
			found = p;
	}
	if (slot & STEER_SLOT_GROUP)
		rule = found ? found->rule : 0;
	return rule ? plan->rules[rule - 1].policy : "nobody";
}

static const char *matched(const struct policy_set *set, uint16_t port, enum steer_direction direction,
			   const uint8_t peer[16])
{
	struct ac_facts facts = { .port = port, .side = direction == STEER_IN ? AC_SIDE_SERVER : AC_SIDE_CLIENT };
	int64_t rule;

	memcpy(facts.peer, peer, sizeof(facts.peer));
	rule = policy_match(set, &facts, NULL, NULL);
	return rule < 0 ? "nobody" : set->origins[set->rules[rule].policy].name;
}

/* What `policy show --match` says about steering. */
static const char *told(const struct policy_set *set, uint16_t port, enum steer_direction direction,
			const uint8_t peer[16])
{
	struct ac_facts facts = { .port = port, .side = direction == STEER_IN ? AC_SIDE_SERVER : AC_SIDE_CLIENT };
	uint32_t policy;

	memcpy(facts.peer, peer, sizeof(facts.peer));
	policy = policy_steered_by(set, &facts, true, "eth0");
	return policy ? set->origins[policy].name : "nobody";
}

/* `wanted`: at port 80 for 10.1.2.3 in this direction; NULL if that does not matter. */
static void compare_all(const char *text, enum steer_direction direction, const char *wanted, bool all_steer)
{
	static const char *const peers[] = { "::ffff:10.1.2.3", "::ffff:10.9.9.9", "::ffff:192.0.2.1", "fd00::1" };
	struct policy_set *set = fixture_set(text);
	struct steer_plan plan;
	struct fault fault;

	assert_int_equal(plan_make(&plan, set, "eth0", &fault), 0);
	for (unsigned int port = 1; port < 160; port++) {
		for (size_t i = 0; i < sizeof(peers) / sizeof(peers[0]); i++) {
			uint32_t slot = plan.ports[port].slot[STEER_SLOT(STEER_TCP, direction)];
			const char *s, *m;
			uint8_t peer[16];

			assert_int_equal(inet_pton(AF_INET6, peers[i], peer), 1);
			s = steered(&plan, slot, peer);
			m = told(set, port, direction, peer);
			if (strcmp(s, m))
				fail_msg("port %u, peer %s: steered by %s, said to be by %s\n%s", port, peers[i], s, m,
					 text);
			m = matched(set, port, direction, peer);
			if (all_steer && strcmp(s, m))
				fail_msg("port %u, peer %s: steered by %s, matched by %s\n%s", port, peers[i], s, m,
					 text);
			if (wanted && port == 80 && !i)
				assert_string_equal(s, wanted);
		}
	}
	plan_free(&plan);
	policy_set_free(set);
}

static void compare(const char *text, enum steer_direction direction, const char *wanted)
{
	compare_all(text, direction, wanted, true);
}

/* A policy without `steer`, on another interface, or for another protocol takes no packet from one that steers. */
static void who_does_not_steer_has_no_say(void **state)
{
	compare_all("[policy wide]\nports = 1-1000\n" STEER "[policy narrow]\nports = 80\nmode = autocork\n", STEER_IN,
		    "wide", false);
	compare_all("[policy narrow]\nports = 80\npeers = 10.1.2.3\nmode = off\n[policy wide]\nports = 1-1000\n" STEER,
		    STEER_IN, "wide", false);
	compare_all("[policy wide]\nports = 1-1000\n" STEER "[policy narrow]\nports = 80\nmode = off\nsteer = af_xdp\n"
		    "interface = eth1\n",
		    STEER_IN, "wide", false);
	compare_all("[policy wide]\nports = 1-1000\n" STEER "[policy narrow]\nports = 80\nprotocol = udp\n" STEER,
		    STEER_IN, "wide", false);
	compare_all("[policy wide]\nports = 1-1000\n" STEER "[policy narrow]\nports = 80\ndirection = out\n" STEER,
		    STEER_IN, "wide", false);
}

static void the_specific_one_decides(void **state)
{
	compare("[policy narrow]\nports = 80\n" STEER "[policy wide]\nports = 1-1000\n" STEER, STEER_IN, "narrow");
	compare("[policy wide]\nports = 1-1000\n" STEER "[policy narrow]\nports = 80\n" STEER, STEER_IN, "narrow");
	compare("[policy narrow]\nports = 80\n" STEER "[policy wide]\nports = 1-1000\npeers = 10.0.0.0/8\n" STEER,
		STEER_IN, "wide");
	compare("[policy narrow]\nports = 80\npeers = 10.0.0.0/8\n" STEER
		"[policy wide]\nports = 1-99\npeers = 10.0.0.0/8\n" STEER,
		STEER_IN, "narrow");
	compare("[policy one]\nports = 80-89\nside = server\n" STEER "[policy any]\nports = 80-89\n" STEER, STEER_IN,
		"one");
	compare("[policy one]\nports = 80-89\nside = client\ndirection = out\n" STEER
		"[policy any]\nports = 80-89\ndirection = any\n" STEER,
		STEER_OUT, "one");
	compare("[policy a]\nports = 80-89\n" STEER "[policy b]\nports = 71-80\n" STEER, STEER_IN, "b");
}

/* The same seed on every run. */
static void any_policies(void **state)
{
	static const char *const peers[] = { "", "peers = 10.0.0.0/8\n", "peers = 10.1.0.0/16, 192.0.2.0/24\n",
					     "peers = 0.0.0.0/0\n", "peers = ::/0\n" };
	static const char *const sides[] = { "", "", "side = server\n" };

	srandom(1);
	for (int round = 0; round < 100; round++) {
		char text[POLICIES * 200] = "";
		bool all_steer = round % 2;

		for (int i = 0; i < POLICIES; i++) {
			unsigned int first = 1 + random() % 120, width = random() % 20;

			sprintf(text + strlen(text), "[policy p%d]\nports = %u-%u, %u\n%s%s%s", i, first, first + width,
				first + width + 1 + (unsigned int)random() % 9, peers[random() % 5],
				sides[random() % 3], all_steer || random() % 2 ? STEER : "mode = off\n");
		}
		compare_all(text, STEER_IN, NULL, all_steer);
	}
}

/* Ping has no ports, so their width says nothing about it: the later policy decides. */
static void ping_has_no_ports(void **state)
{
	static const char *const texts[] = {
		"[policy a]\nports = 1-65535\nprotocol = any\n" STEER "[policy b]\nprotocol = icmp\n" STEER,
		"[policy a]\nprotocol = icmp\n" STEER "[policy b]\nports = 1-65535\nprotocol = any\n" STEER,
	};
	struct steer_plan plan;
	struct fault fault;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct policy_set *set = fixture_set(texts[i]);

		assert_int_equal(plan_make(&plan, set, "eth0", &fault), 0);
		assert_string_equal(steered(&plan, plan.icmp[STEER_IN], (uint8_t[16]){ 0 }), "b");
		plan_free(&plan);
		policy_set_free(set);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_specific_one_decides),
		cmocka_unit_test(who_does_not_steer_has_no_say),
		cmocka_unit_test(any_policies),
		cmocka_unit_test(ping_has_no_ports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
