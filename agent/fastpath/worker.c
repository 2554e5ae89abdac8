/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The packet loop: see worker.h. */
#include "fastpath/worker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_pause.h>

#include "fastpath/mss.h"
#include "fastpath/packet.h"
#include "lib/clock.h"
#include "lib/log.h"

/* The ring of the other port is full: it may drain while we try; then frames are dropped. */
#define SEND_TRIES 16
#define TICKS_PER_SECOND 4 /* heartbeat, counters, the look for vanished interfaces */
#define SPIN_US 10	   /* looks go on this long after the last frame before the core sleeps */
#define WAKE_US 100	   /* a sleep may end this late: closer to a deadline we keep looking instead */

/* Nanoseconds of the clock that the coalescer gets. */
static uint64_t cycles_to_ns(const struct workers *all, uint64_t cycles)
{
	return (unsigned __int128)cycles * 1000000000 / all->cycles_per_second;
}

static void lane_send(struct lane *lane)
{
	uint16_t sent = 0;

	for (int i = 0; sent < lane->pending_count && i < SEND_TRIES; i++) {
		uint16_t now = rte_eth_tx_burst(lane->out->port, lane->out->queue, lane->pending + sent,
						lane->pending_count - sent);

		sent += now;
		if (!now)
			rte_pause();
	}
	lane->counters->tx_packets += sent;
	lane->counters->tx_dropped += lane->pending_count - sent;
	for (; sent < lane->pending_count; sent++) {
		lane->pending_bytes -= lane->pending[sent]->pkt_len;
		rte_pktmbuf_free(lane->pending[sent]);
	}
	lane->counters->tx_bytes += lane->pending_bytes;
	lane->pending_bytes = 0;
	lane->pending_count = 0;
}

/* An Ethernet frame's header and tags do not count in the MTU. */
static bool is_too_long(const struct lane *lane, const struct rte_mbuf *mbuf)
{
	uint32_t header = 14;

	while (header < 14 + 4 * PACKET_VLANS && mbuf->data_len >= header + 4) {
		uint16_t type = packet_get16(rte_pktmbuf_mtod_offset(mbuf, const uint8_t *, header - 2));

		if (type != RTE_ETHER_TYPE_VLAN && type != RTE_ETHER_TYPE_QINQ)
			break;
		header += 4;
	}
	return mbuf->pkt_len > lane->mtu + header;
}

static void lane_queue(struct lane *lane, struct rte_mbuf *mbuf)
{
	if (unlikely(mbuf->pkt_len > lane->mtu + 14 && lane->mtu && is_too_long(lane, mbuf)))
		lane->counters->too_long++;
	if (lane->copies) {
		struct rte_mbuf *copy = rte_pktmbuf_copy(mbuf, lane->copies, 0, UINT32_MAX);

		rte_pktmbuf_free(mbuf);
		if (!copy) {
			lane->counters->tx_dropped++;
			return;
		}
		mbuf = copy;
	}
	if (lane->pending_count == BURST)
		lane_send(lane);
	lane->pending_bytes += mbuf->pkt_len;
	lane->pending[lane->pending_count++] = mbuf;
}

static void lane_emit(void *context, const struct coalesce_frame *frame)
{
	struct rte_mbuf *mbuf = frame->handle;

	mbuf->data_len = mbuf->pkt_len = frame->length;
	lane_queue(context, mbuf);
}

static void lane_absorb(void *context, void *handle)
{
	rte_pktmbuf_free(handle);
}

static void lane_frame(struct lane *lane, struct rte_mbuf *mbuf, uint64_t now_ns)
{
	struct coalesce_frame frame;

	if (lane->coalescer) {
		frame.handle = mbuf;
		frame.data = rte_pktmbuf_mtod(mbuf, uint8_t *);
		frame.length = mbuf->pkt_len;
		frame.room = mbuf->data_len + rte_pktmbuf_tailroom(mbuf);
		coalescer_push(lane->coalescer, &frame, now_ns);
	} else if (lane->in != lane->out) {
		lane_queue(lane, mbuf);
	} else {
		lane->reflected.now_ns = now_ns;
		if (reflect_frame(&lane->reflect, &lane->reflected, rte_pktmbuf_mtod(mbuf, uint8_t *), mbuf->pkt_len)) {
			lane_queue(lane, mbuf);
		} else {
			lane->counters->ignored++;
			rte_pktmbuf_free(mbuf);
		}
	}
}

/* One look at the queue. Returns the number of frames it had. */
static uint16_t lane_turn(struct lane *lane)
{
	struct fastpath_queue *counters = lane->counters;
	struct rte_mbuf *burst[BURST];
	uint64_t start = rte_rdtsc(), now_ns;
	uint16_t count = rte_eth_rx_burst(lane->in->port, lane->in->queue, burst, BURST);

	if (!count && (!lane->coalescer || !coalescer_stats(lane->coalescer)->held))
		return 0;
	now_ns = cycles_to_ns(lane->worker->all, rte_rdtsc());
	for (uint16_t i = 0; i < count; i++) {
		counters->rx_bytes += burst[i]->pkt_len;
		/* A chain would be cut to its first part by drivers that send only that: make it one, or drop it. */
		if (unlikely(burst[i]->nb_segs > 1) && rte_pktmbuf_linearize(burst[i])) {
			counters->tx_dropped++;
			rte_pktmbuf_free(burst[i]);
			continue;
		}
		lane_frame(lane, burst[i], now_ns);
	}
	if (lane->coalescer)
		coalescer_expire(lane->coalescer, now_ns);
	if (lane->pending_count)
		lane_send(lane);
	if (count) {
		counters->rx_packets += count;
		counters->bursts++;
		counters->busy_cycles += rte_rdtsc() - start;
	}
	return count;
}

static void lane_publish(struct lane *lane)
{
	const struct coalesce_stats *stats;

	if (!lane->coalescer)
		return;
	stats = coalescer_stats(lane->coalescer);
	lane->counters->merged = stats->merged;
	lane->counters->delayed = stats->delayed;
	lane->counters->evicted = stats->evicted;
	lane->counters->bad_checksum = stats->bad_checksum;
	lane->counters->opaque = stats->opaque;
	lane->counters->flows = stats->flows;
	lane->counters->held = stats->held;
}

/* The lesser of what was asked for and what the port takes. */
static uint32_t largest_for(const struct lane *lane)
{
	uint32_t asked = lane->worker->all->options->mtu, largest = lane->mtu;

	if (asked && (!largest || asked < largest))
		largest = asked;
	return RTE_MIN(largest, (uint32_t)UINT16_MAX);
}

static void lane_look_at_mtu(struct lane *lane)
{
	uint32_t mtu = __atomic_load_n(&lane->to->mtu, __ATOMIC_RELAXED);

	if (mtu == lane->mtu)
		return;
	lane->mtu = mtu;
	if (lane->coalescer)
		coalescer_set_max_len(lane->coalescer, largest_for(lane));
}

static void worker_tick(struct worker *worker, uint64_t now)
{
	struct workers *all = worker->all;

	worker->next_tick = now + all->cycles_per_second / TICKS_PER_SECOND;
	for (uint32_t i = 0; i < worker->lane_count; i++) {
		lane_look_at_mtu(&worker->lanes[i]);
		lane_publish(&worker->lanes[i]);
	}
	if (worker->number)
		return;
	ports_read_mtus(all->ports);
	all->file->beat = monotonic_ns() / 1000000000;
	if (!ports_present(all->ports, &all->lost))
		*all->stop = true;
}

/* How long this core may sleep; 0 if not at all. */
static uint64_t worker_rest_ns(const struct worker *worker, uint64_t now)
{
	uint64_t now_ns = cycles_to_ns(worker->all, now);
	uint64_t rest = worker->next_tick > now ? cycles_to_ns(worker->all, worker->next_tick - now) : 0;

	for (uint32_t i = 0; i < worker->lane_count; i++) {
		uint64_t deadline =
			worker->lanes[i].coalescer ? coalescer_deadline(worker->lanes[i].coalescer) : UINT64_MAX;

		if (deadline == UINT64_MAX)
			continue;
		if (deadline < now_ns + WAKE_US * 1000)
			return 0;
		rest = RTE_MIN(rest, deadline - now_ns - WAKE_US * 1000);
	}
	return rest;
}

int worker_run(void *context)
{
	struct worker *worker = context;
	struct workers *all = worker->all;
	bool sleeps = all->options->wait == FASTPATH_WAIT_INTERRUPT;
	uint64_t spin = all->cycles_per_second / 1000000 * SPIN_US, last = 0;

	while (!*all->stop) {
		uint64_t now, rest;
		uint16_t got = 0;

		for (uint32_t i = 0; i < worker->lane_count; i++)
			got += lane_turn(&worker->lanes[i]);
		now = rte_rdtsc();
		if (now >= worker->next_tick)
			worker_tick(worker, now);
		if (got) {
			last = now;
			sleeper_stir(&worker->sleeper);
		} else if (sleeps && now - last > spin) {
			rest = worker_rest_ns(worker, now);
			if (rest) {
				worker->lanes[0].counters->sleeps++;
				sleeper_wait(&worker->sleeper, rest);
			}
		} else {
			rte_pause();
		}
	}
	for (uint32_t i = 0; i < worker->lane_count; i++) {
		if (worker->lanes[i].coalescer)
			coalescer_flush(worker->lanes[i].coalescer);
		if (worker->lanes[i].pending_count)
			lane_send(&worker->lanes[i]);
		lane_publish(&worker->lanes[i]);
	}
	return 0;
}

static int lane_make(struct lane *lane, struct worker *worker, size_t port, uint16_t queue, struct fault *fault)
{
	const struct fastpath_options *options = worker->all->options;
	const struct ports *ports = worker->all->ports;
	const struct port *in = &ports->list[port];
	const struct port *out = options->job == FASTPATH_JOB_REFLECT ? in : &ports->list[port ^ 1];
	struct coalesce_options coalesce = {
		.flows = options->flows,
		.hold_ns = options->hold_ns,
		.mss = worker->all->mss[port / 2],
		.emit = lane_emit,
		.absorb = lane_absorb,
		.context = lane,
	};

	lane->worker = worker;
	lane->to = out;
	lane->mtu = out->mtu;
	lane->in = &in->queues[queue];
	lane->out = &out->queues[queue];
	/* Buffers of AF_XDP ports are none that hardware can read. */
	lane->copies = in->af_xdp && !out->af_xdp ? ports->others : NULL;
	lane->counters = &worker->all->file->queue[port * ports->queues + queue];
	lane->counters->port = port;
	lane->counters->queue = queue;
	lane->counters->core = worker->core;
	strcpy(lane->counters->interface, in->name);
	coalesce.max_len = largest_for(lane);
	if (!queue && options->mtu > coalesce.max_len)
		log_warning("%s: takes packets of %u bytes, so --mtu %u is more than it can be", out->name, out->mtu,
			    options->mtu);
	sleeper_add(&worker->sleeper, &in->queues[queue]);
	if (getrandom(&coalesce.seed, sizeof(coalesce.seed), 0) != sizeof(coalesce.seed))
		return fault_set(fault, EXIT_FAILED, "getrandom: no random seed: try again");
	if (options->job == FASTPATH_JOB_REFLECT) {
		lane->reflect = options->reflect;
		memcpy(lane->reflect.mac, in->mac, sizeof(in->mac));
		lane->reflected = (struct reflect_state){ .echoes = echoes_new(), .seed = coalesce.seed };
		if (!lane->reflected.echoes)
			return fault_set(fault, EXIT_FAILED, "reflector: out of memory: use fewer --queues");
	}
	if (options->job != FASTPATH_JOB_COALESCE)
		return 0;
	lane->coalescer = coalescer_new(&coalesce);
	if (!lane->coalescer)
		return fault_set(fault, EXIT_FAILED, "flow table: out of memory: use a smaller --flows");
	return 0;
}

static int mss_make(struct workers *all, struct fault *fault)
{
	uint64_t seed;

	if (all->options->job != FASTPATH_JOB_COALESCE)
		return 0;
	for (size_t pair = 0; pair < all->ports->count / 2; pair++) {
		if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
			return fault_set(fault, EXIT_FAILED, "getrandom: no random seed: try again");
		all->mss[pair] = mss_new(seed);
		if (!all->mss[pair])
			return fault_set(fault, EXIT_FAILED, "table of segment sizes: out of memory: name fewer ports");
	}
	return 0;
}

int workers_make(struct workers *all, uint32_t cores, struct fault *fault)
{
	const struct ports *ports = all->ports;
	unsigned int core = rte_get_main_lcore();

	if (mss_make(all, fault))
		return -1;
	all->count = RTE_MIN(cores, ports->queues);
	all->list = calloc(all->count, sizeof(*all->list));
	if (!all->list)
		return fault_set(fault, EXIT_FAILED, "workers: out of memory");
	for (uint32_t i = 0; i < all->count; i++) {
		struct worker *worker = &all->list[i];

		worker->all = all;
		worker->number = i;
		worker->core = core;
		core = rte_get_next_lcore(i ? core : -1u, true, false);
		if (!sleeper_init(&worker->sleeper, all->wake_fd))
			return fault_set(fault, EXIT_FAILED, "epoll: %s: allow more open files", strerror(errno));
		worker->lanes =
			calloc(ports->count * ((ports->queues - 1 - i) / all->count + 1), sizeof(*worker->lanes));
		if (!worker->lanes)
			return fault_set(fault, EXIT_FAILED, "workers: out of memory");
		for (uint32_t queue = i; queue < ports->queues; queue += all->count)
			for (size_t port = 0; port < ports->count; port++)
				if (lane_make(&worker->lanes[worker->lane_count++], worker, port, queue, fault))
					return -1;
	}
	return 0;
}

static void lane_free(struct lane *lane)
{
	coalescer_free(lane->coalescer);
	echoes_free(lane->reflected.echoes);
}

void workers_free(struct workers *all)
{
	for (uint32_t i = 0; all->list && i < all->count; i++) {
		for (uint32_t k = 0; k < all->list[i].lane_count; k++)
			lane_free(&all->list[i].lanes[k]);
		free(all->list[i].lanes);
	}
	free(all->list);
	for (size_t pair = 0; pair < FASTPATH_PORTS_MAX / 2; pair++)
		mss_free(all->mss[pair]);
}
