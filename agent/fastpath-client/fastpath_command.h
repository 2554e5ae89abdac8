/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* autocork fastpath: what the autocork-fastpath processes do. Needs no running agent. */
#pragma once
struct cli;
int fastpath_command(struct cli *cli, int argc, char **argv);
