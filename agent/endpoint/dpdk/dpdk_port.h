/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Rings over queues of DPDK ports, for mTCP's `io = dpdk`: a library of its own (libautocork-ring-dpdk.so), which
 * libautocork-mtcp.so loads when it is asked for, so that nobody else needs DPDK. The interface stays the kernel's: its
 * addresses, its MTU and its neighbours are the stack's.
 */
#pragma once
#include <stddef.h>

#include "endpoint/ring.h"

/*
 * Once in a process: starts the EAL, and its ports with this many queues in all. arguments: of the EAL, with blanks
 * between; empty: an AF_XDP device for each queue of the interface. 0, or -1 with "THING: REASON: NEXT STEP" in text.
 * A second time, with the same values: 0.
 */
int autocork_ring_dpdk_start(const char *interface, unsigned queues, const char *arguments, char *text, size_t size);
/* A queue, or NULL: there is none, or it is in use. ring_close() gives it back. */
struct ring *autocork_ring_dpdk_open(unsigned queue);
