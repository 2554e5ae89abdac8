/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#pragma once

/* A signal whose default ends the process lets its connections go on, or end, as the kernel's would (once there is an
 * engine). A handler that the program sets takes its place. */
void process_catch_ends(void);
