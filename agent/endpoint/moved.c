/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Connections that went to the kernel a moment ago. Frames of theirs that were steered before may still be in the ring:
 * an answer to them, a RST, would end the connection. They are dropped, and the peer repeats them to the kernel.
 */
#include "endpoint/tcp_inside.h"
#include "hooks.h"

#define MOVED_NS (10000 * NS_PER_MS)

static uint64_t key_of(const ip_addr_t *local, uint16_t local_port, const ip_addr_t *peer, uint16_t peer_port)
{
	return (uint64_t)engine_hook_hash(local, local_port, peer, peer_port) << 32 |
	       engine_hook_hash(peer, peer_port, local, local_port);
}

void moved_note(struct engine *engine, const struct tcp_pcb *pcb)
{
	uint64_t key = key_of(&pcb->local_ip, pcb->local_port, &pcb->remote_ip, pcb->remote_port);

	engine->moved_until = engine->now + MOVED_NS;
	engine->moved[key % MOVED] = (struct moved){ key, engine->moved_until };
}

bool moved_is(struct engine *engine, const ip_addr_t *local, uint16_t local_port, const ip_addr_t *peer,
	      uint16_t peer_port, bool syn)
{
	struct moved *moved;
	uint64_t key;

	if (engine->now >= engine->moved_until)
		return false;
	key = key_of(local, local_port, peer, peer_port);
	moved = &engine->moved[key % MOVED];
	if (moved->key != key || engine->now >= moved->until)
		return false;
	if (syn)
		moved->until = 0; /* a new connection */
	return !syn;
}
