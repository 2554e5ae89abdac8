/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The engine's life and its clock: rings in, timers, rings out. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <utlist.h>

#include "endpoint/tcp_inside.h"
#include "hooks.h"
#include "lib/clock.h"
#include "lwip/memp.h"
#include "lwip/netif.h"

#define MANY_HALF_OPEN 4096 /* as the kernel; far below the limit, for what the ring holds already is still taken */
#define MSS_LEAST 48	    /* the kernel's (TCP_MIN_SND_MSS): no more than its options fit below */
#define FEW_HALF_OPEN 64    /* where the limit is so small, it alone decides */

struct engine *engine_current;

static uint32_t or_default(uint32_t value, uint32_t fallback, uint32_t most)
{
	value = value ? value : fallback;
	return value < most ? value : most;
}

static void set_clock(struct engine *engine, uint64_t now)
{
	if (now > engine->now)
		engine->now = now;
	tcp_ticks = (u32_t)(engine->now / TICK_NS) + 1; /* never 0: lwIP takes 0 for "not measured" */
}

void engine_update_clock(struct engine *engine)
{
	set_clock(engine, engine->config.clock ? engine->config.clock(engine->config.context) : monotonic_ns());
}

u32_t sys_now(void)
{
	return (u32_t)(engine_current->now / NS_PER_MS);
}

_Noreturn void engine_assert_failed(const char *what, int line)
{
	fprintf(stderr, "autocork: the TCP engine is in a state that cannot be (%s, line %d): please report it\n", what,
		line);
	abort();
}

void tcp_timer_needed(void)
{
	engine_touch(engine_current);
}

void engine_touch(struct engine *engine)
{
	if (engine->tick_at > engine->now + TICK_NS)
		engine->tick_at = engine->now + TICK_NS;
}

int engine_set_addresses(struct engine *engine, const union engine_address *addresses, unsigned count)
{
	uint16_t port;
	bool mapped;

	if (count > ENGINE_ADDRESSES)
		return -E2BIG;
	engine->address_count = 0;
	for (unsigned i = 0; i < count; i++)
		if (address_to_ip(&addresses[i], &engine->addresses[engine->address_count], &port, &mapped))
			engine->address_count++;
	return 0;
}

/* The MSS of open connections follows an MTU that becomes smaller; after it has grown, new ones use it. */
static void fit_to_link(void)
{
	for (struct tcp_pcb *pcb = tcp_active_pcbs; pcb; pcb = pcb->next) {
		u16_t most = tcp_eff_send_mss_netif(pcb->mss, &engine_netif, &pcb->remote_ip);

		most = most < MSS_LEAST ? MSS_LEAST : most;
		pcb->mss = pcb->mss < most ? pcb->mss : most;
	}
}

void engine_set_link(struct engine *engine, const uint8_t mac[6], uint32_t mtu)
{
	uint32_t most = engine->ring->room - 14;

	memcpy(engine->mac, mac, 6);
	most = mtu < most ? mtu : most;
	if (most == engine_netif.mtu)
		return;
	engine_netif.mtu = (u16_t)most;
	fit_to_link();
}

struct engine *engine_create(const struct engine_config *config)
{
	struct engine *engine;
	int err;

	if (engine_current) {
		errno = EBUSY;
		return NULL;
	}
	engine = calloc(1, sizeof(*engine));
	if (!engine)
		return NULL;
	engine->config = *config;
	engine->ring = config->ring;
	engine->tick_at = ENGINE_NEVER;
	engine->config.max_connections = or_default(config->max_connections, 65536, 1u << 20);
	engine->config.max_half_open = or_default(config->max_half_open, 16384, 1u << 20);
	engine->config.max_time_wait = or_default(config->max_time_wait, 16384, 1u << 20);
	engine->config.receive_buffer = or_default(config->receive_buffer, 1u << 20, BUFFER_MAX);
	engine->config.send_buffer = or_default(config->send_buffer, 1u << 20, BUFFER_MAX);
	err = secret_setup();
	if (!err)
		err = engine_set_addresses(engine, config->addresses, config->address_count);
	if (!err)
		err = frame_setup(engine);
	if (err) {
		free(engine);
		errno = -err;
		return NULL;
	}
	engine_current = engine;
	memset(&engine_netif, 0, sizeof(engine_netif));
	engine_set_link(engine, config->mac, config->ring->mtu);
	engine_update_clock(engine);
	tcp_challenge_acks = tcp_paws_drops = tcp_retransmits = 0;
	tcp_init();
	return engine;
}

void engine_destroy(struct engine *engine)
{
	engine_update_clock(engine);
	while (engine->sockets)
		engine_abort(engine->sockets);
	while (tcp_active_pcbs)
		tcp_abort(tcp_active_pcbs);
	while (tcp_tw_pcbs)
		tcp_kill_timewait();
	ring_flush(engine->ring);
	frame_teardown(engine);
	engine_current = NULL;
	free(engine);
}

void engine_notify(struct engine_socket *socket, uint32_t events)
{
	if (socket->engine->config.notify && events)
		socket->engine->config.notify(socket->engine->config.context, socket, events);
}

/* lwIP counts a connection as pending until it is accepted. */
uint32_t engine_half_open(const struct engine_socket *listener)
{
	return ((const struct tcp_pcb_listen *)listener->pcb)->accepts_pending - listener->waiting_count;
}

static uint32_t half_open(void)
{
	uint32_t count = 0;

	for (const struct tcp_pcb_listen *listener = tcp_listen_pcbs.listen_pcbs; listener; listener = listener->next)
		count += engine_half_open(listener->callback_arg);
	return count;
}

bool engine_is_flooded(const struct engine *engine, bool was)
{
	const struct engine_config *config = &engine->config;
	uint32_t most =
		config->max_half_open < config->max_connections ? config->max_half_open : config->max_connections;
	uint32_t many = most / 4 * 3 < MANY_HALF_OPEN ? most / 4 * 3 : MANY_HALF_OPEN;

	return many >= FEW_HALF_OPEN && half_open() > (was ? many / 4 : many);
}

u32_t engine_hook_syn(struct tcp_pcb_listen *listener)
{
	struct engine *engine = engine_current;

	if (tcp_active_count + tcp_tw_count < engine->config.max_connections &&
	    half_open() < engine->config.max_half_open)
		return ((struct engine_socket *)listener->callback_arg)->rcvbuf;
	engine->stats.limit_hit++;
	return 0;
}

/* The tick after which lwIP has something to do for this connection. */
static uint64_t pcb_deadline(const struct engine *engine, const struct tcp_pcb *pcb, bool *close_pending)
{
	uint64_t idle;

	if (pcb->flags & TF_CLOSEPEND)
		*close_pending = true;
	if (pcb->rtime >= 0 || pcb->persist_backoff || pcb->unsent || pcb->ooseq || (pcb->flags & TF_CLOSEPEND))
		return engine->now + TICK_NS;
	if (pcb->state == FIN_WAIT_2 && (pcb->flags & TF_RXCLOSED))
		idle = TCP_FIN_WAIT_TIMEOUT;
	else if (pcb->state == SYN_RCVD)
		idle = TCP_SYN_RCVD_TIMEOUT;
	else if (pcb->state == LAST_ACK)
		idle = 2 * TCP_MSL;
	else if (ip_get_option(pcb, SOF_KEEPALIVE) && (pcb->state == ESTABLISHED || pcb->state == CLOSE_WAIT))
		idle = (uint64_t)pcb->keep_idle + (uint64_t)pcb->keep_cnt_sent * pcb->keep_intvl;
	else
		return ENGINE_NEVER;
	/* pcb->tmr is in ticks, which began at 1 (set_clock). lwIP waits until more than the time has passed. */
	uint64_t due = ((uint64_t)pcb->tmr + idle / TCP_SLOW_INTERVAL) * TICK_NS;
	uint64_t next = engine->now + TICK_NS;
	return due > next ? due : next;
}

static void tick(struct engine *engine)
{
	bool close_pending = false;
	uint64_t next = ENGINE_NEVER;

	tcp_slowtmr();
	for (const struct tcp_pcb *pcb = tcp_active_pcbs; pcb; pcb = pcb->next) {
		uint64_t due = pcb_deadline(engine, pcb, &close_pending);
		next = due < next ? due : next;
	}
	if (close_pending)
		tcp_fasttmr();
	if (tcp_tw_pcbs) {
		uint64_t due = ((uint64_t)tcp_tw_pcbs->tmr + 2 * TCP_MSL / TCP_SLOW_INTERVAL) * TICK_NS;
		due = due > engine->now + TICK_NS ? due : engine->now + TICK_NS;
		next = due < next ? due : next;
	}
	engine->tick_at = next;
}

static void send_delayed_acks(struct engine *engine)
{
	struct engine_socket *socket;

	while ((socket = engine->acks) && socket->ack_deadline <= engine->now) {
		DL_DELETE2(engine->acks, socket, ack_prev, ack_next);
		socket->ack_pending = false;
		if (socket->pcb && (socket->pcb->flags & TF_ACK_DELAY)) {
			tcp_ack_now(socket->pcb);
			tcp_output(socket->pcb);
			tcp_clear_flags(socket->pcb, TF_ACK_DELAY | TF_ACK_NOW);
		}
	}
}

unsigned engine_run(struct engine *engine, uint64_t now, unsigned budget)
{
	struct ring_frame frames[RING_BURST];
	unsigned total = 0, count;

	set_clock(engine, now);
	for (unsigned bursts = 0; !budget || bursts < budget; bursts++) {
		count = ring_receive(engine->ring, frames, RING_BURST);
		for (unsigned i = 0; i < count; i++)
			frame_input(engine, &frames[i]);
		total += count;
		if (count < RING_BURST)
			break;
	}
	if (total)
		engine_touch(engine);
	if (engine->tx_blocked) {
		engine->tx_blocked = false;
		tcp_txnow();
	}
	send_delayed_acks(engine);
	if (engine->tick_at <= engine->now)
		tick(engine);
	while (tcp_tw_count > engine->config.max_time_wait)
		tcp_kill_timewait();
	return total;
}

unsigned engine_poll(struct engine *engine, uint64_t now, unsigned budget)
{
	unsigned total = engine_run(engine, now, budget);

	engine_flush(engine);
	return total;
}

int engine_flush(struct engine *engine)
{
	if (!engine->submitted)
		return 0;
	engine->submitted = false;
	engine->last = NULL;
	return ring_flush(engine->ring);
}

bool engine_leaves_with_wait(struct engine *engine)
{
	if (!engine->submitted)
		return true;
	if (!ring_waits(engine->ring))
		return false;
	engine->submitted = false;
	engine->last = NULL;
	return true;
}

uint64_t engine_deadline(const struct engine *engine)
{
	uint64_t deadline = engine->tick_at;

	if (engine->acks && engine->acks->ack_deadline < deadline)
		deadline = engine->acks->ack_deadline;
	if ((engine->tx_blocked || engine->submitted) && engine->now + NS_PER_MS < deadline)
		deadline = engine->now + NS_PER_MS;
	return deadline;
}

void engine_stats(struct engine *engine, struct engine_stats *stats)
{
	*stats = engine->stats;
	stats->connections = tcp_active_count;
	stats->time_wait = tcp_tw_count;
	stats->half_open = half_open();
	stats->neighbours = engine->neighbour_count;
	for (const struct tcp_pcb_listen *listener = tcp_listen_pcbs.listen_pcbs; listener; listener = listener->next)
		stats->listeners++;
	stats->challenge_ack = tcp_challenge_acks;
	stats->paws_dropped = tcp_paws_drops;
	stats->retransmitted = tcp_retransmits;
	ring_stats(engine->ring, &stats->ring);
}

void engine_each(struct engine *engine, void (*each)(void *context, struct engine_socket *socket), void *context)
{
	struct engine_socket *socket, *next;

	DL_FOREACH_SAFE(engine->sockets, socket, next)
		each(context, socket);
}
