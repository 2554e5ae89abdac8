/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/*
 * How often the kernel has taken in packets (NET_RX), on all processors and in all network namespaces: where nothing
 * comes in, no connection does anything. Many packets may come in at once, so it says that traffic is there and
 * whether it changed, not how much it is. False where it cannot be told.
 */
bool softirqs_received(uint64_t *count);
/* The same from a file like /proc/softirqs. */
bool softirqs_received_in(FILE *file, uint64_t *count);
