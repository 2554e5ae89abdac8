/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* One call into the predictor, as the test asks for it natively and in the kernel. */
#pragma once
#include <autocork/predictor.h>

enum step_call {
	STEP_INIT,
	STEP_INIT_ALONE,
	STEP_WRITE,
	STEP_END,
	STEP_RELEASE,
	STEP_LEARN,
	STEP_ACK,
	STEP_REST,
	STEP_FIN,
	STEP_MAX
};

struct step {
	__u32 call; /* enum step_call */
	__u32 now_us;
	__u32 bytes;
	__u32 argument; /* bit 0: read_since, above: enum ac_nagle; or enum ac_burst_end */
	struct ac_tuning tuning;
	__u32 result; /* what came back */
	__u32 judged; /* bit 0: gains, 1: idle, 2: duplex, 3: the prior is due, 4: rests */
};

static __always_inline void step_run(struct step *step, struct ac_predictor *p, struct ac_prior *prior)
{
	struct ac_tuning tuning = step->tuning;
	struct ac_outcome outcome;

	step->result = 0;
	switch (step->call) {
	case STEP_INIT:
		ac_predictor_init(p, prior, step->now_us);
		break;
	case STEP_INIT_ALONE:
		ac_predictor_init(p, NULL, step->now_us);
		break;
	case STEP_WRITE:
		outcome =
			ac_on_write(p, &tuning, step->now_us, step->bytes, step->argument & 1, step->argument >> 1 & 3);
		step->result = outcome.ended << 16 | outcome.missed << 8 | outcome.verdict;
		break;
	case STEP_END:
		step->result = ac_on_burst_end(p, &tuning, step->argument);
		break;
	case STEP_RELEASE:
		ac_on_release(p);
		break;
	case STEP_LEARN:
		ac_prior_learn(prior, p);
		break;
	case STEP_ACK:
		ac_on_ack(p, step->now_us);
		break;
	case STEP_FIN:
		step->result = ac_on_fin(p, &tuning, step->now_us);
		break;
	case STEP_REST:
		ac_predictor_rest(p);
		break;
	}
	step->judged = ac_predictor_gains(p) | ac_predictor_idle(p) << 1 | ac_predictor_duplex(p) << 2 |
		       ac_prior_due(p) << 3 | ac_predictor_rests(p) << 4;
}
