/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Which MAC leads to an address. The kernel knows (its routes and neighbours, by the configuration's callback); asked
 * at most once a second for each. Where it does not know, the way back is the way that the peer's last frame came.
 */
#include <string.h>

#include "endpoint/tcp_inside.h"

#define TOLD_NS (1000 * NS_PER_MS)

u32_t engine_hook_hash(const ip_addr_t *local_ip, u16_t local_port, const ip_addr_t *remote_ip, u16_t remote_port);

static struct neighbour *slot_of(struct engine *engine, const ip_addr_t *address)
{
	struct neighbour *slot = &engine->neighbours[engine_hook_hash(address, 0, address, 0) % NEIGHBOURS];

	if (!slot->used || !ip_addr_cmp(&slot->address, address)) {
		engine->neighbour_count += !slot->used;
		memset(slot, 0, sizeof(*slot));
		slot->used = true;
		ip_addr_copy(slot->address, *address);
	}
	return slot;
}

bool neighbour_find(struct engine *engine, const ip_addr_t *address, uint8_t mac[6])
{
	struct neighbour *slot = slot_of(engine, address);

	if (engine->config.neighbour && engine->now >= slot->until) {
		union engine_address to;
		address_from_ip(&to, address, 0, false);
		slot->told = engine->config.neighbour(engine->config.context, &to, slot->told_mac);
		slot->until = engine->now + TOLD_NS;
	}
	if (!slot->told && !slot->learned)
		return false;
	memcpy(mac, slot->told ? slot->told_mac : slot->learned_mac, 6);
	return true;
}

void neighbour_learn(struct engine *engine, const ip_addr_t *address, const uint8_t mac[6])
{
	struct neighbour *slot = slot_of(engine, address);

	memcpy(slot->learned_mac, mac, 6);
	slot->learned = true;
}
