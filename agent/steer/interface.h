/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What steering asks the kernel about a network interface: its number, its receive queues, the XDP program on it. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "lib/fault.h"

struct interface_xdp {
	uint32_t program;  /* id; 0 = none */
	const char *mode;  /* "native", "generic", "offloaded", "several"; NULL if none */
	uint32_t modes[3]; /* programs in native, generic and offloaded mode; 0 = none */
	uint32_t link;	   /* id of the BPF link that holds it; 0 = it was attached by netlink */
	char name[64];	   /* of the program, from its BTF where that is longer than the kernel's 15 characters */
};

/* Number of the interface, or -1. */
int interface_index(const char *name, struct fault *fault);
/* Receive queues in use: ethtool's channels, or 1 where the driver knows none (the same rule as libxdp's). */
unsigned int interface_queues(const char *name);
/* 0, or -1 if the interface is gone. */
int interface_xdp(int index, struct interface_xdp *xdp, struct fault *fault);
#define INTERFACE_ADVICE_LEN 256
/* The commands that take the program away, as a part of a sentence. */
void interface_xdp_advice(const char *name, const struct interface_xdp *xdp, char advice[INTERFACE_ADVICE_LEN]);
