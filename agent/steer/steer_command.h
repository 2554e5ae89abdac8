/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* autocork steer status|attach|detach|apply|export: steering by hand; needs no running agent. */
#pragma once
struct cli;
int steer_command(struct cli *cli, int argc, char **argv);
