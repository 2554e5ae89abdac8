/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* libFuzzer: any order of writes, reads, pauses, deadlines and closes on flows of one service; the promises must
 * hold. */
#include <autocork/predictor.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FLOWS 4

struct flow {
	struct ac_predictor p;
	__u64 bursts, misses, stalls;
	bool young; /* began without a prior, and no burst has ended yet */
};

struct input {
	const uint8_t *data;
	size_t left;
};

#define demand(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			abort(); \
		} \
	} while (0)

static __u32 take(struct input *input, size_t bytes)
{
	__u32 value = 0;

	while (bytes-- && input->left) {
		value = value << 8 | *input->data++;
		input->left--;
	}
	return value;
}

static void open_flow(struct flow *flow, const struct ac_prior *prior, __u32 now)
{
	memset(flow, 0xa5, sizeof(*flow)); /* init must not rely on zeroed memory */
	flow->bursts = 0;
	flow->misses = 0;
	flow->stalls = 0;
	flow->young = !prior;
	ac_predictor_init(&flow->p, prior, now);
}

static void check(const struct flow *flow, const struct ac_tuning *tuning)
{
	const struct ac_predictor *p = &flow->p;
	__u64 earned = (flow->bursts + 1) * (AC_EARN / (tuning->need_max | 1));

	demand(p->debt <= (AC_ALLOWANCE + 1) * AC_MISS);
	demand(p->new_debt >= -2 * AC_MISS - AC_EARN && p->new_debt <= 2 * AC_MISS);
	demand(p->holding <= 1 && p->first < AC_FIRST_SLOTS && p->reads <= AC_READS_MAX);
	demand(p->duplex >> 1 <= AC_DUPLEX_TRIALS && p->settling <= AC_SETTLING && p->long_level <= AC_LONG_LEVEL_MAX);
	demand(!p->holding || p->len);
	/* Of a service without TCP_NODELAY the prior may have credit; each stall that was seen buys 20 misses. */
	demand(flow->misses <= AC_ALLOWANCE + 1 + 2 * AC_DUPLEX_TRIALS + earned / AC_MISS + AC_CREDIT_MAX +
				       AC_PROOFS * AC_SAVED_BUYS +
				       flow->stalls * (AC_STALL_BUYS + AC_PROOFS * AC_SAVED_BUYS));
	demand(p->proofs <= AC_PROOFS && p->rests <= AC_REST_DOUBLES && (p->nagle || !p->went));
	demand(!(ac_predictor_gains(p) && ac_predictor_idle(p)));
}

static void do_write(struct flow *flow, const struct ac_tuning *tuning, __u32 now, __u32 bytes, bool read_since,
		     enum ac_nagle nagle)
{
	const struct ac_predictor before = flow->p;
	struct ac_outcome outcome = ac_on_write(&flow->p, tuning, now, bytes, read_since, nagle);

	flow->bursts += outcome.ended > 0;
	flow->misses += outcome.missed;
	flow->young &= !outcome.ended;
	demand(outcome.ended == 0 || outcome.ended == before.len);
	demand(!outcome.missed || (outcome.ended && (before.holding || before.overdue)));
	demand(outcome.verdict == flow->p.holding);
	demand(outcome.verdict == AC_RELEASE ||
	       (!flow->young && (flow->p.patient || flow->p.debt <= AC_ALLOWANCE * AC_MISS)));
	demand(nagle != AC_NAGLE_OFF || flow->p.len > 1 || !flow->p.patient);
	demand(flow->p.len == (outcome.ended ? 1 : before.len + (before.len < 0xffff)));
	demand(flow->p.last_us == now);
	demand(outcome.verdict == AC_RELEASE || bytes < (tuning->full ? tuning->full * 256u : AC_FULL));
	/* What has been decided for a burst stays, but for a slot that a late write crossed out. */
	demand(outcome.ended || !before.len || !(flow->p.hold & ~before.hold));
}

static void do_end(struct flow *flow, const struct ac_tuning *tuning, enum ac_burst_end cause, __u32 now)
{
	const struct ac_predictor before = flow->p;
	__u32 length =
		cause == AC_END_MAX ? ac_on_fin(&flow->p, tuning, now) : ac_on_burst_end(&flow->p, tuning, cause);

	flow->bursts += length > 0;
	/* A deadline that does not end the burst is a miss only if the next write says so. */
	flow->misses += length && (before.holding || before.overdue) && cause != AC_END_CLOSE && cause != AC_END_MAX;
	flow->young &= !length;
	demand(length == 0 || length == before.len);
	demand(flow->p.len == (length ? 0 : before.len));
	demand(!flow->p.holding);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };
	struct ac_tuning tuning = {
		.burst_gap_us = 10 + take(&input, 2) * 16,
		.need_max = 2 + take(&input, 1) % 254,
		.hold_gaps = take(&input, 1) % 16,
		.full = take(&input, 1) % 4,
		.wait_us = 5 + take(&input, 1) % 128,
	};
	struct ac_prior prior = {};
	struct flow flows[FLOWS];
	__u32 now = take(&input, 1) << 24;
	enum ac_nagle nagle = AC_NAGLE_OFF;

	if (take(&input, 1) & 1) /* as after a torn update */
		for (size_t i = 0; i < sizeof(prior); i++)
			((__u8 *)&prior)[i] = take(&input, 1);
	for (int i = 0; i < FLOWS; i++)
		open_flow(&flows[i], i ? &prior : NULL, now);

	while (input.left) {
		__u32 op = take(&input, 1);
		struct flow *flow = &flows[op % FLOWS];
		__u32 count, bytes;

		switch (op / FLOWS % 8) {
		case 0: /* one write, after a read or not */
		case 1:
			now += take(&input, 1);
			do_write(flow, &tuning, now, take(&input, 1), op / FLOWS % 8, nagle);
			break;
		case 2: /* a burst after a read, repeated */
		case 3:
			count = 1 + take(&input, 1) % 40;
			bytes = take(&input, 1) << 2;
			for (__u32 i = 0; i < count; i++, now += 3)
				do_write(flow, &tuning, now, bytes, i == 0, nagle);
			break;
		case 4: /* the same message many times */
			count = 1 + take(&input, 1) % 24;
			for (__u32 repeat = take(&input, 1) * 4; repeat; repeat--)
				for (__u32 i = 0; i < count; i++, now += 3)
					do_write(flow, &tuning, now, 20, i == 0, nagle);
			break;
		case 5:
			count = take(&input, 3);
			now += count << 4;
			nagle = count % (AC_NAGLE_KEEPS + 1);
			if (!(count & 0x100))
				break;
			flow->stalls += flow->p.kept && now - flow->p.last_us > AC_STALL_US;
			ac_on_ack(&flow->p, now);
			break;
		case 6:
			do_end(flow, &tuning, take(&input, 1) % (AC_END_MAX + 1), now);
			break;
		case 7:
			count = take(&input, 1);
			if (count & 1)
				ac_on_release(&flow->p);
			if (count & 16)
				ac_on_unseen(&flow->p, now);
			if (count & 32)
				ac_predictor_rest(&flow->p);
			if (count & 2 || ac_prior_due(&flow->p))
				ac_prior_learn(&prior, &flow->p);
			if (count & 4)
				open_flow(flow, count & 8 ? &prior : NULL, now);
			demand(prior.debt <= AC_PRIOR_DEBT_MAX || !(count & 2));
			break;
		}
		check(flow, &tuning);
	}
	return 0;
}
