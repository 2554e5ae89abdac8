/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Finds the descriptor of a flow's socket: a pass over one task (link info task.tid, 6.1+), or over all of them. A file
 * is known by its address, so the table of descriptors is only read: 0.1 us for 64 of them, where iter/task_file takes
 * as long for each.
 */
#include "maps.bpf.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

/* Descriptors that are read at once; a table has a multiple of 64. */
#define FIND_CHUNK 32

struct find_walk {
	__u64 chunk[FIND_CHUNK];
	__u64 table, wanted;
	__u32 size;
	__s32 fd;
};

static long find_step(__u32 i, struct find_walk *walk)
{
	__u32 at = i * FIND_CHUNK;

	if (at >= walk->size || bpf_probe_read_kernel(walk->chunk, sizeof(walk->chunk),
						      (void *)(walk->table + at * sizeof(walk->chunk[0]))))
		return 1;
#pragma unroll
	for (int n = 0; n < FIND_CHUNK; n++) {
		if (walk->chunk[n] == walk->wanted) {
			walk->fd = at + n;
			return 1;
		}
	}
	return 0;
}

/* Of the process that reads this pass. */
static __always_inline struct ac_release_worker *find_asker(void)
{
	__u32 zero = 0, asker = bpf_get_current_pid_tgid() >> 32;
	struct ac_releaser *r = bpf_map_lookup_elem(&releaser, &zero);

	for (int i = 0; r && i < AC_RELEASE_WORKERS; i++)
		if (r->worker[i].pid == asker)
			return &r->worker[i];
	return NULL;
}

SEC("iter/task")
int find(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct find_walk walk = { .fd = -1 };
	struct ac_release_worker *asker = find_asker();
	struct ac_flow *f;
	struct sock *sk;
	__u32 number;

	/* Threads share the table of their leader, or cannot be asked for theirs. */
	if (!task || !asker || asker->tgid || task->pid != task->tgid)
		return 0;
	number = asker->wanted;
	f = bpf_map_lookup_elem(&records, &number);
	if (!f)
		return 0;
	/* It may be gone by now, and another flow's: whoever takes the descriptor asks for its cookie. */
	sk = (struct sock *)f->sock;
	walk.wanted = (__u64)BPF_CORE_READ(sk, sk_socket, file);
	walk.table = (__u64)BPF_CORE_READ(task, files, fdt, fd);
	walk.size = BPF_CORE_READ(task, files, fdt, max_fds);
	if (!walk.wanted || !walk.table)
		return 0;
	bpf_loop((walk.size + FIND_CHUNK - 1) / FIND_CHUNK, find_step, &walk, 0);
	if (walk.fd < 0)
		return 0;
	asker->fd = walk.fd;
	asker->tgid = task->tgid;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
