/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "engine/walk.h"

#include <bpf/bpf.h>
#include <stdbool.h>

#include "bpf/dump.skel.h"
#include "engine/inside.h"

/* Records in one run of add_up(): some 0.4 us each, in which most kernels let no other process have the CPU, those in
 * real time included. */
#define ADD_UP_STEP 512

/* Runs the program for the records that walk names. */
static int run(const struct bpf_program *program, struct ac_walk *walk)
{
	DECLARE_LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = walk, .ctx_size_in = sizeof(*walk));

	return bpf_prog_test_run_opts(bpf_program__fd(program), &options);
}

/* One past the last record that was ever taken. */
static __u32 records_end(const struct engine *engine)
{
	const struct ac_control *control = engine->tables.control;
	__u32 next = __atomic_load_n(&control->records_next, __ATOMIC_RELAXED);

	return next < control->records_max ? next : control->records_max;
}

int walk_add_up(struct engine *engine)
{
	int err = 0;

	for (__u32 from = 0; from < records_end(engine) && !err; from += ADD_UP_STEP) {
		struct ac_walk walk = { .from = from, .count = ADD_UP_STEP };

		err = run(engine->dump->progs.add_up, &walk);
	}
	return err;
}

int walk_flows(struct engine *engine, walk_take *take, void *context)
{
	for (__u32 from = 0; from < records_end(engine); from += AC_WALK_STEP) {
		struct ac_walk walk = { .from = from, .count = AC_WALK_STEP };
		int err = run(engine->dump->progs.dump, &walk);

		for (__u32 i = 0; i < walk.count && !err; i++)
			if (take(&engine->tables.dumped[i], context))
				return 0;
		if (err)
			return err;
	}
	return 0;
}
