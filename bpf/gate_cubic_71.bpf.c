/* SPDX-License-Identifier: GPL-2.0 */
/* The same wrapper for kernels 7.1 and later. */
#define AC_CWND_EVENT_TX_START
#include "gate_cubic.bpf.c"
