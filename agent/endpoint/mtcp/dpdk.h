/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The library with rings over DPDK (endpoint/dpdk), which is loaded when `io = dpdk` asks for it. */
#pragma once
#include <stddef.h>

#include "endpoint/mtcp/config.h"

struct ring;

/* Starts DPDK with a queue for each core. 0, or -1 with "THING: REASON: NEXT STEP" in text. */
int dpdk_start(const struct config *config, char *text, size_t size);
/* A queue of it, or NULL. */
struct ring *dpdk_open(unsigned queue);
