/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "steer/steer_plan.h"

#include <stdlib.h>
#include <string.h>

#include "lib/array.h"
#include "policy/rank.h"

/* A port at which a rule starts (or has just ended) to matter. */
struct edge {
	uint32_t port;
	uint32_t rule;
	bool ends;
};

static bool wants(const struct policy_config *config, enum steer_protocol protocol, enum steer_direction direction)
{
	static const unsigned int protocols[] = {
		[POLICY_PROTOCOL_TCP] = 1 << STEER_TCP,
		[POLICY_PROTOCOL_UDP] = 1 << STEER_UDP,
		[POLICY_PROTOCOL_ANY] = 1 << STEER_TCP | 1 << STEER_UDP | 1 << STEER_ICMP,
		[POLICY_PROTOCOL_ICMP] = 1 << STEER_ICMP,
	};
	static const unsigned int directions[] = {
		[POLICY_DIRECTION_IN] = 1 << STEER_IN,
		[POLICY_DIRECTION_OUT] = 1 << STEER_OUT,
		[POLICY_DIRECTION_ANY] = 1 << STEER_IN | 1 << STEER_OUT,
	};

	return protocols[config->protocol] & 1 << protocol && directions[config->direction] & 1 << direction;
}

static enum steer_mode rule_mode(enum policy_steer steer)
{
	switch (steer) {
	case POLICY_STEER_DPDK:
		return STEER_DPDK;
	case POLICY_STEER_ENDPOINT:
		return STEER_ENDPOINT;
	default:
		return STEER_AF_XDP;
	}
}

static int add_rule(struct steer_plan *plan, const struct policy_origin *origin, struct fault *fault)
{
	const struct policy_config *config = &origin->config;
	struct plan_rule *rule = &plan->rules[plan->rule_count];

	if (plan->rule_count + 1 >= STEER_RULES_MAX)
		return fault_set(fault, EXIT_CONFIG, "%s: too many policies steer %s: at most %d do", origin->name,
				 config->interface, STEER_RULES_MAX - 1);
	if (strlen(origin->name) >= STEER_NAME_LEN)
		return fault_set(fault, EXIT_CONFIG,
				 "%s: the name of a policy that steers is too long: at most %d bytes", origin->name,
				 STEER_NAME_LEN - 1);
	*rule = (struct plan_rule){
		.policy = origin->name,
		.mode = rule_mode(config->steer),
		.transit = config->transit,
		.all_queues = !config->queues.count,
		.config = config,
	};
	if (rule->all_queues)
		memset(rule->queues, 0xff, sizeof(rule->queues));
	for (size_t i = 0; i < config->queues.count; i++) {
		const struct policy_range *range = &config->queues.list[i];

		if (range->last >= STEER_QUEUES_MAX)
			return fault_set(fault, EXIT_CONFIG, "%s: queue %u: steering knows queues 0 to %d",
					 origin->name, range->last, STEER_QUEUES_MAX - 1);
		for (unsigned int queue = range->first; queue <= range->last; queue++)
			rule->queues[queue / 64] |= 1ull << queue % 64;
		if (range->last >= rule->queue_limit)
			rule->queue_limit = range->last + 1;
	}
	plan->rule_count++;
	return 0;
}

static int add_peer(struct steer_plan *plan, const struct plan_peer *peer, size_t group_start, struct fault *fault)
{
	for (size_t i = group_start; i < plan->peer_count; i++) {
		const struct plan_peer *known = &plan->peers[i];

		if (known->bits == peer->bits && !memcmp(known->address, peer->address, sizeof(peer->address)))
			return 0; /* a more specific rule has it */
	}
	if (!array_room(&plan->peers, plan->peer_count, &plan->peer_room, sizeof(*plan->peers)))
		return fault_set(fault, EXIT_FAILED, "steering rules: out of memory: use fewer peers");
	/* Half of the map: while a plan replaces another, both are in it. */
	if (plan->peer_count >= STEER_PEERS_MAX / 2)
		return fault_set(fault, EXIT_CONFIG,
				 "steering rules: more than %d combinations of ports and peers: "
				 "give policies with the same ports fewer peers",
				 STEER_PEERS_MAX / 2);
	plan->peers[plan->peer_count++] = *peer;
	return 0;
}

/*
 * The most specific rule first. Prefixes are not compared here: the longest that holds the peer is what the kernel's
 * trie finds. Rules are numbered in the order of their policies.
 */
static void order_rules(const struct steer_plan *plan, const uint32_t *active, size_t count, uint16_t port,
			struct ranked *ordered)
{
	for (size_t i = 0; i < count; i++) {
		const struct policy_config *config = plan->rules[active[i] - 1].config;
		struct rank_facts facts = {
			.width = port ? policy_width_at(&config->ports, port) : AC_PORTS,
			.side = config->side,
			.policy = active[i],
		};

		ordered[i] = (struct ranked){ rank_of(&facts), active[i] };
	}
	qsort(ordered, count, sizeof(*ordered), ranked_compare);
}

/* The peers of a rule in a new group; without peers it is for all. */
static int add_peers(struct steer_plan *plan, uint32_t rule, size_t group_start, struct fault *fault)
{
	const struct policy_peers *list = &plan->rules[rule - 1].config->peers;
	struct plan_peer peer = { .group = plan->group_count, .rule = rule };
	int failed = list->count ? 0 : add_peer(plan, &peer, group_start, fault);

	for (size_t i = 0; i < list->count && !failed; i++) {
		peer.bits = list->list[i].bits;
		memcpy(peer.address, list->list[i].address, sizeof(peer.address));
		failed = add_peer(plan, &peer, group_start, fault);
	}
	return failed;
}

/* The slot of a port (0: of what has no ports) at which exactly these rules apply. */
static int make_slot(struct steer_plan *plan, const uint32_t *active, size_t count, uint16_t port, uint32_t *slot,
		     struct fault *fault)
{
	struct ranked *ordered = calloc(count + 1, sizeof(*ordered));
	size_t group_start = plan->peer_count;
	bool peers = false;
	int failed = 0;

	*slot = 0;
	if (!ordered)
		return fault_set(fault, EXIT_FAILED, "steering rules: out of memory: use fewer of them");
	order_rules(plan, active, count, port, ordered);
	for (size_t i = 0; i < count; i++)
		peers |= plan->rules[active[i] - 1].config->peers.count > 0;
	for (size_t i = 0; i < count && peers && !failed; i++)
		failed = add_peers(plan, ordered[i].rule, group_start, fault);
	*slot = peers ? STEER_SLOT_GROUP | plan->group_count++ : ordered[0].rule;
	free(ordered);
	return failed;
}

static int by_port(const void *a, const void *b)
{
	const struct edge *x = a, *y = b;

	return x->port != y->port ? (x->port > y->port) - (x->port < y->port) :
				    (x->rule > y->rule) - (x->rule < y->rule);
}

/* Puts the rule into the sorted list, or takes it out. */
static size_t toggle(uint32_t *active, size_t count, uint32_t rule, bool remove)
{
	size_t at = 0;

	while (at < count && active[at] < rule)
		at++;
	if (remove) {
		memmove(active + at, active + at + 1, (count - at - 1) * sizeof(*active));
		return count - 1;
	}
	memmove(active + at + 1, active + at, (count - at) * sizeof(*active));
	active[at] = rule;
	return count + 1;
}

/* A sweep over the ports: between two edges all of them share a slot. */
static int sweep(struct steer_plan *plan, const struct edge *edges, size_t edge_count, uint32_t *active,
		 unsigned int kind, struct fault *fault)
{
	/* The slot a set of one rule got, so that a policy with many port ranges makes one group. */
	uint32_t *single = calloc(plan->rule_count + 1, sizeof(*single));
	size_t count = 0;
	int failed = single ? 0 : fault_set(fault, EXIT_FAILED, "steering rules: out of memory: use fewer of them");

	for (size_t i = 0; i < edge_count && !failed;) {
		uint32_t port = edges[i].port, slot;

		while (i < edge_count && edges[i].port == port) {
			count = toggle(active, count, edges[i].rule, edges[i].ends);
			i++;
		}
		if (i == edge_count || !count)
			continue;
		slot = count == 1 ? single[active[0]] : 0;
		if (!slot)
			failed = make_slot(plan, active, count, port, &slot, fault);
		if (count == 1)
			single[active[0]] = slot;
		for (; port < edges[i].port && !failed; port++)
			plan->ports[port].slot[kind] = slot;
	}
	free(single);
	return failed;
}

static int fill_ports(struct steer_plan *plan, enum steer_protocol protocol, enum steer_direction direction,
		      struct fault *fault)
{
	size_t edge_count = 0, room = 0;
	struct edge *edges;
	uint32_t *active;
	int failed;

	for (size_t i = 0; i < plan->rule_count; i++)
		room += 2 * (plan->rules[i].config->ports.count ?: 1);
	edges = calloc(room + 1, sizeof(*edges));
	active = calloc(plan->rule_count + 1, sizeof(*active));
	for (size_t i = 0; i < plan->rule_count && edges; i++) {
		const struct policy_config *config = plan->rules[i].config;

		if (!wants(config, protocol, direction))
			continue;
		for (size_t j = 0; j < (config->ports.count ?: 1); j++) {
			struct policy_range range = config->ports.count ? config->ports.list[j] :
									  (struct policy_range){ 0, STEER_PORTS - 1 };

			edges[edge_count++] = (struct edge){ range.first, i + 1, false };
			edges[edge_count++] = (struct edge){ range.last + 1u, i + 1, true };
		}
	}
	if (!edges || !active) {
		failed = fault_set(fault, EXIT_FAILED, "steering rules: out of memory: use fewer of them");
	} else {
		qsort(edges, edge_count, sizeof(*edges), by_port);
		failed = sweep(plan, edges, edge_count, active, STEER_SLOT(protocol, direction), fault);
		plan->out |= edge_count && direction == STEER_OUT;
	}
	free(edges);
	free(active);
	return failed;
}

/* All of them, or 1-65535, which is how a policy says so. */
static bool all_ports(const struct policy_ranges *ports)
{
	return !ports->count ||
	       (ports->count == 1 && ports->list[0].first <= 1 && ports->list[0].last == STEER_PORTS - 1);
}

/* ICMP has no ports: a policy for it alone steers echo, or one for any protocol and all ports, so that no port takes
 * ping along. */
static int fill_icmp(struct steer_plan *plan, enum steer_direction direction, struct fault *fault)
{
	uint32_t *active = calloc(plan->rule_count + 1, sizeof(*active));
	size_t count = 0;
	int failed;

	if (!active)
		return fault_set(fault, EXIT_FAILED, "steering rules: out of memory: use fewer of them");
	for (size_t i = 0; i < plan->rule_count; i++)
		/* Ports are none for ICMP alone. */
		if (all_ports(&plan->rules[i].config->ports) && wants(plan->rules[i].config, STEER_ICMP, direction))
			active[count++] = i + 1;
	failed = make_slot(plan, active, count, 0, &plan->icmp[direction], fault);
	free(active);
	return failed;
}

int plan_make(struct steer_plan *plan, const struct policy_set *set, const char *interface, struct fault *fault)
{
	size_t policies = set ? set->policy_count : 0;
	int failed = 0;

	*plan = (struct steer_plan){
		.rules = calloc(policies + 1, sizeof(*plan->rules)),
		.ports = calloc(STEER_PORTS, sizeof(*plan->ports)),
	};
	if (!plan->rules || !plan->ports)
		failed = fault_set(fault, EXIT_FAILED, "steering rules: out of memory: use fewer of them");
	for (size_t i = 1; i < policies && !failed; i++)
		if (set->origins[i].config.steer != POLICY_STEER_NONE &&
		    !strcmp(set->origins[i].config.interface, interface))
			failed = add_rule(plan, &set->origins[i], fault);
	for (int direction = STEER_IN; direction <= STEER_OUT && !failed; direction++) {
		/* clang-format off */
		failed = fill_ports(plan, STEER_TCP, direction, fault) ?:
			 fill_ports(plan, STEER_UDP, direction, fault) ?:
			 fill_icmp(plan, direction, fault);
		/* clang-format on */
	}
	if (failed)
		plan_free(plan);
	return failed;
}

void plan_free(struct steer_plan *plan)
{
	free(plan->rules);
	free(plan->ports);
	free(plan->peers);
	*plan = (struct steer_plan){ 0 };
}
