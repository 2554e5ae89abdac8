/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The programs that tell one response from the next: in the kernel only while somebody wants to know. */
#pragma once
#include <autocork/response.h>

#include "engine/objects.h"

#define RESPONSES_LINKS 6

struct responses {
	struct responses_bpf *opened; /* NULL while nobody listens */
	struct bpf_link *links[RESPONSES_LINKS];
};

/* Loads and attaches, if that is not done. `cgroup`: where setsockopt calls are seen. Returns 0 or -errno, and nothing
 * stays. */
int responses_start(struct responses *responses, const struct ac_response_watch *watch,
		    const struct shared_maps *shared, int cgroup);
void responses_stop(struct responses *responses);
