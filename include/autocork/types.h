/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What lets one header serve BPF and user space: the fixed-width types and the helpers both sides spell alike. */
#pragma once

#ifdef __bpf__
#include "kernel_types.h" /* vmlinux/: the kernel's own __u8 … __u64 */
#include <bpf/bpf_helpers.h>
#else
#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#ifndef __always_inline /* linux/stddef.h or sys/cdefs.h may have said it */
#define __always_inline inline __attribute__((always_inline))
#endif
#endif

/*
 * A function that the verifier reads once, whatever its arguments, and not again in each state of each caller: for
 * large ones, which multiply the time that a program takes to load. What it is given may be NULL to the verifier.
 */
#ifdef __bpf__
#define ac_verified_once __attribute__((noinline, unused))
#else
#define ac_verified_once static inline
#endif

#define AC_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Serial-number comparison (RFC 1982) of 32-bit clocks and TCP sequence numbers: true if a comes before b. */
static __always_inline bool ac_before(__u32 a, __u32 b)
{
	return (__s32)(a - b) < 0;
}
