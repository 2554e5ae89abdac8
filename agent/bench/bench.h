/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* `autocork bench client|server`: messages sent in small writes, each answered; what they cost in time, packets and CPU. */
#pragma once

/* argv[0] is "bench", argv[1] the side. Returns an exit code of lib/fault.h. */
int bench_command(int argc, char **argv);
