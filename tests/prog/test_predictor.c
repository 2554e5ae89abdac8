/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The predictor compiled for BPF: the verifier takes it, and it decides and remembers what the same source does
 * natively. */
#include "predictor_step.h"

#include <bpf/bpf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/prog/predictor.skel.h"

struct memory {
	struct ac_predictor predictor;
	struct ac_prior prior;
};

static struct predictor_bpf *bpf;
static struct memory native;
static unsigned int steps, held, missed;

static int load(void **state)
{
	bpf = predictor_bpf__open_and_load();
	return bpf ? 0 : -1;
}

static int unload(void **state)
{
	predictor_bpf__destroy(bpf);
	return 0;
}

static void compare_memory(void)
{
	struct memory kernel;
	__u32 key = 0;

	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(bpf->maps.memories), &key, &kernel), 0);
	assert_memory_equal(&kernel, &native, sizeof(native));
}

/* Takes one step here and there. */
static void both(const struct step *step)
{
	struct step here = *step, there = *step;
	/* comes back in ctx_in */
	LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = &there, .ctx_size_in = sizeof(there));

	step_run(&here, &native.predictor, &native.prior);
	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(bpf->progs.take_step), &options), 0);
	assert_int_equal(options.retval, 0);
	if (here.result != there.result || here.judged != there.judged)
		fail_msg("step %u, call %u: %#x/%#x natively, %#x/%#x in the kernel", steps, step->call, here.result,
			 here.judged, there.result, there.judged);
	steps++;
	if (step->call == STEP_WRITE) {
		held += here.result & 1;
		missed += here.result >> 8 & 1;
	}
	if (steps % 16 == 0)
		compare_memory();
}

/* Bursts of a length that changes now and then, with reads, stalls, deadlines and everything else that may come
 * between. */
static void decides_as_it_does_natively(void **state)
{
	struct step step = { .tuning = {
				     .burst_gap_us = 200, .need_max = 50, .hold_gaps = 10, .wait_us = 40, .full = 5 } };
	long length = 4, chaos = 0, nagle = 0;

	memset(&native, 0, sizeof(native)); /* padding is compared too */
	srandom(2);
	step.call = STEP_INIT;
	both(&step);
	for (unsigned int burst = 0; burst < 8000; burst++) {
		if (!(burst % 500)) { /* another service now and then: other lengths, more or less in order */
			length = 1 + random() % (burst % 1000 ? 8 : 40);
			chaos = random() % 4 * 8;
			nagle = random() % (AC_NAGLE_KEEPS + 1);
		}
		step.argument = 1 | nagle << 1;
		step.call = STEP_WRITE;
		for (long i = 0; i < length; i++) {
			step.bytes = random() % 2000 < chaos ? 1448 : 20 << (i ? 0 : random() % 3);
			both(&step);
			step.now_us += random() % 100 < chaos / 4 ? 1000 : 5;
			step.argument = (random() % 100 < chaos / 2) | nagle << 1;
			if (random() % 1000 < chaos)
				break;
		}
		step.now_us += random() % 100 < chaos ? 30000 : 60;
		if (random() % 200 >= chaos)
			continue;
		step.call = STEP_INIT + random() % STEP_MAX;
		step.argument = random() % AC_END_MAX;
		both(&step);
	}
	compare_memory();
	/* It would prove little if little had happened. */
	assert_in_range(held, steps / 10, steps);
	assert_in_range(missed, 5, 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decides_as_it_does_natively),
	};

	return cmocka_run_group_tests(tests, load, unload);
}
