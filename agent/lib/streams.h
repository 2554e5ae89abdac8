/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Standard input, output and error: descriptors 0 to 2. */
#pragma once

/*
 * To be called first. Where a program is started with one of them closed, the next file or socket it opens would get
 * that number, and with it what the program prints. Now reading or writing there fails with EBADF.
 */
void streams_keep(void);
