/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "engine/response_observer.h"

#include <autocork/response_sum.h>

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/responses.skel.h"
#include "engine/inside.h"

static int load(struct responses *r, const struct ac_response_watch *watch, const struct shared_maps *shared)
{
	r->opened = OBJECTS_OPEN(responses);
	if (!r->opened)
		return -errno;
	memcpy((void *)&r->opened->rodata_watch->watch, watch, sizeof(*watch));
	return objects_load_guest(r->opened->obj, shared);
}

/* Would it load? A kernel without one of the tracepoints does not take it. Returns 0 or -errno; nothing stays. */
static int responses_try(const struct shared_maps *shared)
{
	struct ac_response_watch watch = { .adds_up = true };
	struct responses trial = { 0 };
	int err = load(&trial, &watch, shared);

	responses_stop(&trial);
	return err;
}

int responses_start(struct responses *r, const struct ac_response_watch *watch, const struct shared_maps *shared,
		    int cgroup)
{
	struct bpf_program *program;
	size_t count = 0;
	int err;

	if (r->opened)
		return 0;
	err = load(r, watch, shared);
	if (err)
		goto fail;
	bpf_object__for_each_program(program, r->opened->obj) {
		err = count < RESPONSES_LINKS ? 0 : -E2BIG;
		if (err)
			goto fail;
		r->links[count] = objects_attach(program, cgroup);
		err = r->links[count++] ? 0 : -errno;
		if (err)
			goto fail;
	}
	return 0;
fail:
	responses_stop(r);
	return err;
}

void responses_stop(struct responses *r)
{
	for (size_t i = 0; i < RESPONSES_LINKS; i++) {
		bpf_link__destroy(r->links[i]);
		r->links[i] = NULL;
	}
	OBJECTS_CLOSE(r->opened);
}

/* ------------------------------------------------------------------ watchers */

struct engine_watch {
	struct responses responses;
	struct engine *engine;
};

static int sums_of(const struct engine_watch *watch)
{
	return bpf_map__fd(watch->responses.opened->maps.response_sums);
}

/* One value for each CPU, as the kernel wants them; the caller frees it. */
static struct ac_response_sum *room_for_cpus(int *cpus)
{
	*cpus = libbpf_num_possible_cpus();
	_Static_assert(sizeof(struct ac_response_sum) % 8 == 0, "values of CPUs follow each other without a gap");
	return *cpus > 0 ? calloc(*cpus, sizeof(struct ac_response_sum)) : NULL;
}

/* What finds no room goes there, so it must be there first. */
static int add_other(const struct engine_watch *watch)
{
	const struct ac_response_key other = { .service = AC_RESPONSE_OTHER };
	int cpus, err;
	struct ac_response_sum *nothing = room_for_cpus(&cpus);

	if (!nothing)
		return -ENOMEM;
	err = bpf_map_update_elem(sums_of(watch), &other, nothing, BPF_ANY) ? -errno : 0;
	free(nothing);
	return err;
}

void engine_listen(struct engine *engine)
{
	/* Who watches is told of nothing, but short connections are followed all, as for who listens. */
	uint32_t types = engine->event_types | (engine->watchers ? AC_EVENT_BIT(AC_EVENT_RESPONSE) : 0);

	__atomic_store_n(&engine->tables.control->event_mask, types, __ATOMIC_RELAXED);
}

int engine_watch_start(struct engine *engine, uint16_t port, struct engine_watch **out, struct fault *fault)
{
	const struct ac_response_watch what = { .port = port, .adds_up = true };
	struct engine_watch *watch = calloc(1, sizeof(*watch));
	int err;

	if (!watch)
		return fault_set(fault, EXIT_FAILED, "responses: out of memory");
	watch->engine = engine;
	err = responses_start(&watch->responses, &what, &engine->shared, engine->cgroup);
	if (!err)
		err = add_other(watch);
	if (err) {
		responses_stop(&watch->responses);
		free(watch);
		return fault_set(fault, EXIT_UNSUPPORTED, RESPONSES_REFUSED, objects_why(err));
	}
	engine->watchers++;
	engine_listen(engine);
	*out = watch;
	return 0;
}

int engine_watch_read(const struct engine_watch *watch, engine_response_visit *visit, void *context)
{
	int sums = sums_of(watch), keys = objects_map(&watch->engine->shared, "service_keys"), cpus, result = 0;
	struct ac_response_sum *per_cpu = room_for_cpus(&cpus);
	struct ac_response_key key, *last = NULL;

	if (!per_cpu)
		return -ENOMEM;
	while (!result && !bpf_map_get_next_key(sums, last, &key)) {
		struct engine_response response = { .calls = key.calls, .other = key.service == AC_RESPONSE_OTHER };

		last = &key;
		if (bpf_map_lookup_elem(sums, &key, per_cpu))
			continue;
		if (!response.other && bpf_map_lookup_elem(keys, &key.service, &response.service))
			continue;
		for (int cpu = 0; cpu < cpus; cpu++)
			ac_response_sum_merge(&response.sum, &per_cpu[cpu]);
		if (response.sum.count)
			result = visit(&response, context);
	}
	free(per_cpu);
	return result;
}

void engine_watch_stop(struct engine_watch *watch)
{
	if (!watch)
		return;
	responses_stop(&watch->responses);
	watch->engine->watchers--;
	engine_listen(watch->engine);
	free(watch);
}

/* The row `responses` of the features. */
void engine_try_rest(struct engine *engine)
{
	int err;

	if (engine->tried_rest)
		return;
	engine->tried_rest = true;
	err = responses_try(&engine->shared);
	features_note(&engine->features, "responses", !err,
		      "there is no `autocork responses`, and no event of type response", "a kernel from 6.16 on", "%s",
		      err ? objects_why(err) : "tracepoints of writes, reads and packets");
}
