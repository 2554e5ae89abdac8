/* SPDX-License-Identifier: GPL-2.0 */
/* The same wrapper for kernels before 6.10. */
#define AC_CONG_CONTROL_OLD
#include "gate_bbr.bpf.c"
