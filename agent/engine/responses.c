/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "engine/responses.h"

#include <errno.h>

#include "bpf/responses.skel.h"

static int load(struct responses *r, const struct shared_maps *shared)
{
	size_t size;
	const void *bytes = responses_bpf__elf_bytes(&size);

	r->object = objects_open(bytes, size);
	if (!r->object)
		return -errno;
	return objects_load_guest(r->object, shared);
}

int responses_try(const struct shared_maps *shared)
{
	struct responses trial = { 0 };
	int err = load(&trial, shared);

	responses_stop(&trial);
	return err;
}

int responses_start(struct responses *r, const struct shared_maps *shared, int cgroup)
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
	bpf_object__close(r->object);
	r->object = NULL;
}
