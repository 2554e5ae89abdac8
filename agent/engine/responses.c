/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "engine/responses.h"

#include <errno.h>

#include "bpf/responses.skel.h"

static int load(struct responses *r, struct shared_maps *shared)
{
	/* Its own map goes with it, so it must not be remembered as a shared one. */
	size_t shared_before = shared->count, size;
	const void *bytes = responses_bpf__elf_bytes(&size);
	int err;

	r->object = objects_open(bytes, size);
	if (!r->object)
		return -errno;
	err = objects_load(r->object, shared);
	shared->count = shared_before;
	return err;
}

int responses_try(struct shared_maps *shared)
{
	struct responses trial = { 0 };
	int err = load(&trial, shared);

	responses_stop(&trial);
	return err;
}

int responses_start(struct responses *r, struct shared_maps *shared, int cgroup)
{
	struct bpf_program *program;
	size_t count = 0;
	int err;

	if (r->object)
		return 0;
	err = load(r, shared);
	if (err)
		goto fail;
	bpf_object__for_each_program(program, r->object) {
		bool option = bpf_program__type(program) == BPF_PROG_TYPE_CGROUP_SOCKOPT;

		err = count < RESPONSES_LINKS ? 0 : -E2BIG;
		if (err)
			goto fail;
		r->links[count] = option ? bpf_program__attach_cgroup(program, cgroup) : bpf_program__attach(program);
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
	bpf_object__close(r->object);
	r->object = NULL;
}
