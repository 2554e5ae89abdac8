/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "policy/steered.h"

#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "policy/explain.h"
#include "policy/keys.h"
#include "policy/rank.h"

static bool steers(const struct policy_config *config, const struct ac_facts *facts, const char *interface)
{
	uint8_t other = facts->side == AC_SIDE_SERVER ? POLICY_DIRECTION_OUT : POLICY_DIRECTION_IN;

	return config->steer != POLICY_STEER_NONE && config->direction != other &&
	       (config->protocol == POLICY_PROTOCOL_TCP || config->protocol == POLICY_PROTOCOL_ANY) &&
	       !strcmp(config->interface, interface);
}

/* The longest prefix that holds the peer, -1 if the policy asks for others. */
static int peer_bits(const struct policy_peers *peers, const struct ac_facts *facts, bool peer_known)
{
	int bits = peers->count ? -1 : 0;

	for (size_t i = 0; i < peers->count && peer_known; i++)
		if (peers->list[i].bits > bits &&
		    ac_peer_matches(peers->list[i].address, peers->list[i].bits, facts->peer))
			bits = peers->list[i].bits;
	return bits;
}

uint32_t policy_steered_by(const struct policy_set *set, const struct ac_facts *facts, bool peer_known,
			   const char *interface)
{
	uint32_t found = AC_POLICY_DEFAULT;
	uint64_t best = 0;

	for (uint32_t policy = 0; policy < set->policy_count; policy++) {
		const struct policy_config *config = &set->origins[policy].config;
		int bits = peer_bits(&config->peers, facts, peer_known);
		struct rank_facts known = { .peer_bits = bits,
					    .width = policy_width_at(&config->ports, facts->port),
					    .side = config->side,
					    .policy = policy };

		if (bits < 0 || !known.width || !steers(config, facts, interface) || rank_of(&known) < best)
			continue;
		best = rank_of(&known);
		found = policy;
	}
	return found;
}

static bool is_named_before(const struct policy_set *set, uint32_t policy)
{
	for (uint32_t i = 0; i < policy; i++)
		if (!strcmp(set->origins[i].config.interface, set->origins[policy].config.interface))
			return true;
	return false;
}

static json_t *value_json(const struct policy_config *config, const char *key)
{
	char *text = policy_key_text(
		&policy_section_kind(POLICY_SECTION_POLICY)->keys[policy_key_find(POLICY_SECTION_POLICY, key)], config);
	json_t *json = json_text(text, SIZE_MAX);

	free(text);
	return json;
}

json_t *policy_steered_json(const struct policy_set *set, const struct ac_facts *facts, bool peer_known)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < set->policy_count; i++) {
		const char *interface = set->origins[i].config.interface;
		uint32_t by;

		if (!interface[0] || is_named_before(set, i))
			continue;
		by = policy_steered_by(set, facts, peer_known, interface);
		if (by != AC_POLICY_DEFAULT)
			json_array_append_new(list, json_pack("{s:s, s:s, s:o, s:o, s:o}", "interface", interface,
							      "policy", set->origins[by].name, "origin",
							      policy_explain_place(&set->origins[by]), "steer",
							      value_json(&set->origins[by].config, "steer"), "queues",
							      value_json(&set->origins[by].config, "queues")));
	}
	return list;
}
