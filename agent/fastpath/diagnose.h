/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Why an AF_XDP port could not be opened: the driver says "Invalid argument" to everything. */
#pragma once
#include <stddef.h>

/* Writes the likeliest reason and what to do about it, as the rest of a sentence: what this process lacks, else what
 * may be in the way. */
void diagnose_af_xdp(char *text, size_t size);
