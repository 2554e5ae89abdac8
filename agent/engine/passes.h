/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Passes of the iterators over sockets: each is one read of an iterator, in one network namespace or in all. The
 * programs write nothing. */
#pragma once
#include <bpf/libbpf.h>
#include <stdint.h>

/* Runs the iterator once in every network namespace, but for those where it would be stuck (engine/walker.h). Returns 0
 * or -errno. */
int pass_everywhere(const struct bpf_link *iterator);
/* Runs it once in the namespace with this inode number. Returns 0 or -errno; -ESRCH if the namespace is gone, -EDEADLK
 * if it is stuck. */
int pass_in(const struct bpf_link *iterator, uint32_t netns);
/* Runs an iterator that knows no namespaces. Returns 0 or -errno. */
int pass_here(const struct bpf_link *iterator);
