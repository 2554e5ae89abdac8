/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The simulator: what the gate would have done with a recorded trace, packet by packet. */
#include "replay/simulator.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DELACK_US 40000 /* TCP_DELACK_MIN: how long a peer with nothing to say waits before it acknowledges */

/* One direction of one connection as the kernel would send it. */
struct pipe {
	uint64_t queued;   /* bytes written and not sent */
	uint64_t since_us; /* when the first of them was written */
	uint64_t acked_us; /* when all that was sent will have been acknowledged */
	uint64_t *packets; /* where the result counts them */
	struct replay_delay *delay;
};

struct flow {
	bool open;
	bool read_since;   /* read since the last write */
	bool waited_since; /* the same, or wanted to */
	bool held;	   /* the queue of `with` is held by the gate … */
	uint32_t limit_us; /* … for so long at most */
	struct pipe without, with;
	struct ac_predictor predictor;
};

struct simulation {
	const struct replay_options *options;
	struct replay_result *result;
	struct flow *flows;
	struct ac_prior prior;
	uint64_t now_us;
	uint32_t mss, rtt_us;
	bool nagle;
};

static void delay_add(struct replay_delay *delay, uint64_t us)
{
	delay->count++;
	delay->total_us += us;
	if (us > delay->max_us)
		delay->max_us = us;
}

/* Sends the first `bytes` of the queue at time_us. */
static void pipe_send(const struct simulation *sim, struct pipe *pipe, uint64_t time_us, uint64_t bytes)
{
	if (!bytes)
		return;
	*pipe->packets += (bytes + sim->mss - 1) / sim->mss;
	if (time_us > pipe->since_us)
		delay_add(pipe->delay, time_us - pipe->since_us);
	pipe->queued -= bytes;
	pipe->since_us = time_us;
	/* Every second full segment is acknowledged at once, anything less when the peer speaks or its timer ends. */
	pipe->acked_us = time_us + sim->rtt_us + (bytes >= 2 * sim->mss ? 0 : DELACK_US);
}

/* Sends what the sender's rules let go at time_us: everything, or with Nagle full segments only while data is in
 * flight. */
static void pipe_push(const struct simulation *sim, struct pipe *pipe, uint64_t time_us)
{
	if (!sim->nagle || time_us >= pipe->acked_us)
		pipe_send(sim, pipe, time_us, pipe->queued);
	else
		pipe_send(sim, pipe, time_us, pipe->queued - pipe->queued % sim->mss);
}

/* Lets an acknowledgement that came before now release what Nagle kept. Did it? */
static bool pipe_advance(const struct simulation *sim, struct pipe *pipe)
{
	if (!pipe->queued || pipe->acked_us > sim->now_us)
		return false;
	pipe_send(sim, pipe, pipe->acked_us > pipe->since_us ? pipe->acked_us : pipe->since_us, pipe->queued);
	return true;
}

/* The same for what the gate let go, which the predictor hears of. */
static void advance_with(struct simulation *sim, struct flow *flow)
{
	uint64_t acked_us = flow->with.acked_us;

	if (!flow->held && pipe_advance(sim, &flow->with))
		ac_on_ack(&flow->predictor, acked_us);
}

static enum ac_nagle nagle_of(const struct simulation *sim, const struct pipe *pipe)
{
	if (!sim->nagle)
		return AC_NAGLE_OFF;
	return sim->now_us < pipe->acked_us ? AC_NAGLE_KEEPS : AC_NAGLE_SENDS;
}

static void pipe_queue(const struct simulation *sim, struct pipe *pipe, uint32_t bytes)
{
	if (!pipe->queued)
		pipe->since_us = sim->now_us;
	pipe->queued += bytes;
}

static void ended(struct simulation *sim, struct flow *flow, uint32_t length, bool missed)
{
	sim->result->bursts += !!length;
	sim->result->misses += missed;
	if (ac_prior_due(&flow->predictor))
		ac_prior_learn(&sim->prior, &flow->predictor);
}

static void release(struct simulation *sim, struct flow *flow, enum ac_reason reason, uint64_t time_us)
{
	sim->result->released[reason]++;
	flow->held = false;
	pipe_push(sim, &flow->with, time_us);
}

/* Ends a hold that has lasted max_hold by now. */
static void expire(struct simulation *sim, struct flow *flow)
{
	uint64_t deadline = flow->with.since_us + flow->limit_us;
	bool missed = flow->predictor.holding;

	if (!flow->held || sim->now_us < deadline)
		return;
	release(sim, flow, AC_REASON_DEADLINE, deadline);
	ended(sim, flow, ac_on_burst_end(&flow->predictor, &sim->options->tuning, AC_END_DEADLINE), missed);
}

static void on_open(struct simulation *sim, struct flow *flow)
{
	*flow = (struct flow){
		.open = true,
		.without = { .packets = &sim->result->packets_without, .delay = &sim->result->delay_without },
		.with = { .packets = &sim->result->packets_with, .delay = &sim->result->delay_with },
	};
	ac_predictor_init(&flow->predictor, sim->options->no_prior ? NULL : &sim->prior, sim->now_us);
	sim->result->flows++;
}

static void on_write(struct simulation *sim, struct flow *flow, uint32_t bytes)
{
	struct ac_outcome outcome = ac_on_write(&flow->predictor, &sim->options->tuning, sim->now_us, bytes,
						flow->read_since, nagle_of(sim, &flow->with));

	sim->result->writes++;
	sim->result->written_bytes += bytes;
	ended(sim, flow, outcome.ended, outcome.missed);
	flow->read_since = false;
	flow->waited_since = false;

	pipe_queue(sim, &flow->without, bytes);
	pipe_push(sim, &flow->without, sim->now_us);
	pipe_queue(sim, &flow->with, bytes);
	if (outcome.verdict == AC_HOLD && flow->with.queued < sim->mss) {
		sim->result->held++;
		if (!flow->held)
			flow->limit_us =
				ac_hold_limit(&flow->predictor, &sim->options->tuning, sim->options->max_hold_us);
		flow->held = true;
		return;
	}
	if (outcome.verdict == AC_HOLD)
		ac_on_release(&flow->predictor);
	if (flow->held)
		release(sim, flow, outcome.verdict == AC_HOLD ? AC_REASON_FULL : AC_REASON_COMPLETE, sim->now_us);
	else
		pipe_push(sim, &flow->with, sim->now_us);
}

static void on_read(struct simulation *sim, struct flow *flow, uint32_t bytes)
{
	struct ac_predictor *predictor = &flow->predictor;

	/* As the gate sees it: what moves copied_seq is a read. */
	flow->read_since |= bytes > 0;
	flow->waited_since = true;
	sim->result->reads++;
	if (flow->held && !sim->options->no_app_wait && !ac_predictor_duplex(predictor)) {
		release(sim, flow, AC_REASON_APP_WAIT, sim->now_us);
		ended(sim, flow, ac_on_burst_end(predictor, &sim->options->tuning, AC_END_READ), true);
	}
	if (bytes) {
		/* The peer spoke: its packet acknowledged what had arrived. */
		flow->without.acked_us = sim->now_us;
		flow->with.acked_us = sim->now_us;
		pipe_advance(sim, &flow->without);
		advance_with(sim, flow);
	}
}

/* A FIN that finds nothing to leave with is a packet. It takes everything along. */
static void pipe_close(const struct simulation *sim, struct pipe *pipe)
{
	*pipe->packets += !pipe->queued;
	pipe_send(sim, pipe, sim->now_us, pipe->queued);
}

static void on_close(struct simulation *sim, struct flow *flow, enum ac_burst_end cause)
{
	const struct ac_tuning *tuning = &sim->options->tuning;
	const struct ac_predictor *predictor = &flow->predictor;
	bool missed = predictor->holding && cause != AC_END_CLOSE;

	if (cause == AC_END_CLOSE) {
		if (flow->held)
			sim->result->released[AC_REASON_CLOSING]++;
		flow->held = false;
		pipe_close(sim, &flow->without);
		pipe_close(sim, &flow->with);
	} else {
		if (flow->held)
			release(sim, flow, AC_REASON_DEADLINE, sim->now_us);
		pipe_send(sim, &flow->without, sim->now_us, flow->without.queued);
		pipe_send(sim, &flow->with, sim->now_us, flow->with.queued);
	}
	ended(sim, flow,
	      cause == AC_END_CLOSE && !flow->waited_since ? ac_on_fin(&flow->predictor, tuning, sim->now_us) :
							     ac_on_burst_end(&flow->predictor, tuning, cause),
	      missed);
	ac_prior_learn(&sim->prior, &flow->predictor);
	sim->result->gaining += ac_predictor_gains(predictor);
	flow->open = false;
}

/* Lets happen what had to happen between the flow's last event and now. */
static void advance(struct simulation *sim, struct flow *flow)
{
	expire(sim, flow);
	pipe_advance(sim, &flow->without);
	advance_with(sim, flow);
}

static void on_event(struct simulation *sim, const struct trace_event *event)
{
	struct flow *flow = &sim->flows[event->flow];

	sim->now_us = event->time_us;
	if (event->kind == TRACE_CLOSE && !flow->open)
		return;
	if (event->kind == TRACE_OPEN && flow->open)
		on_close(sim, flow, AC_END_CLOSE);
	if (!flow->open)
		on_open(sim, flow);
	advance(sim, flow);
	switch (event->kind) {
	case TRACE_WRITE:
		on_write(sim, flow, event->bytes);
		break;
	case TRACE_READ:
	case TRACE_POLL:
		on_read(sim, flow, event->bytes);
		break;
	case TRACE_CLOSE:
		on_close(sim, flow, AC_END_CLOSE);
		break;
	case TRACE_OPEN:
		break;
	}
}

/* The trace ended before the flow did: its last burst is over, and nobody closed. */
static void finish(struct simulation *sim, struct flow *flow)
{
	sim->now_us += sim->options->max_hold_us + DELACK_US + sim->rtt_us;
	advance(sim, flow);
	on_close(sim, flow, AC_END_GAP);
}

int replay_run(const struct trace *trace, const struct replay_options *options, struct replay_result *result)
{
	struct replay_options own = *options;
	struct simulation sim = {
		.options = &own,
		.result = result,
		.flows = calloc(trace->flow_count, sizeof(*sim.flows)),
		.mss = options->mss ? options->mss : trace->mss,
		.rtt_us = trace->rtt_us,
		.nagle = options->nagle == REPLAY_AS_TRACED ? !trace->nodelay : options->nagle == REPLAY_NAGLE,
	};
	uint32_t flow;
	size_t e;

	own.tuning.full = sim.mss < 256 ? 1 : sim.mss >> 8;
	own.tuning.hold_gaps = own.max_hold_us / own.tuning.burst_gap_us + 1;
	own.tuning.wait_us = own.packet_worth_us;
	*result = (struct replay_result){};
	if (trace->flow_count && !sim.flows)
		return -1;
	for (e = 0; e < trace->count; e++)
		on_event(&sim, &trace->events[e]);
	for (flow = 0; flow < trace->flow_count; flow++)
		if (sim.flows[flow].open)
			finish(&sim, &sim.flows[flow]);
	free(sim.flows);
	return 0;
}
