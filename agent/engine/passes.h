/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Passes of the iterators over sockets: each is one read of an iterator, in one network namespace or in all. */
#pragma once
#include <bpf/libbpf.h>
#include <stdint.h>

/* Runs the iterator once in every network namespace. Returns how many could not be entered. */
int pass_everywhere(const struct bpf_link *iterator);
/* Runs it once in the namespace with this inode number. Returns 0 or -errno; -ESRCH if the namespace is gone. */
int pass_in(const struct bpf_link *iterator, uint32_t netns);
/* Runs an iterator that knows no namespaces; what it writes goes to `take`, in whole records of `record_size` (NULL:
 * thrown away). */
typedef int pass_take(const void *record, void *context);
int pass_read(const struct bpf_link *iterator, size_t record_size, pass_take *take, void *context);
