/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Finds out which process has a descriptor of a flow's socket, and which one (bpf/find.bpf.c). */
#pragma once
#include <autocork/release.h>
#include <stdbool.h>
#include <stdint.h>

enum finder_result {
	FINDER_FOUND,  /* tgid and fd of the owner say where */
	FINDER_NOBODY, /* no process has one that can be taken */
	FINDER_LATER,  /* not all processes were looked at: that was done a moment ago */
};

/* Looks at the process that `owner` says has written, and then, now and then only, at all processes. */
enum finder_result finder_find(struct ac_releaser *state, struct ac_release_worker *me, struct ac_owner *owner,
			       uint32_t number);
/* 0, or why it cannot look (errno). */
int finder_try(void);
