/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* `autocork bench client|server|copy`: what small writes, and what copies, cost in time, packets and CPU. */
#pragma once

struct cli;

/* A row of agent/commands/commands.c: argv[1] is the side. */
int bench_command(struct cli *cli, int argc, char **argv);
