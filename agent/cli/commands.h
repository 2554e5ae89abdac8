/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The run functions of the subcommands that live in agent/cli/. */
#pragma once

struct cli;

int cli_status(struct cli *cli, int argc, char **argv);
int cli_services(struct cli *cli, int argc, char **argv);
int cli_flows(struct cli *cli, int argc, char **argv);
int cli_doctor(struct cli *cli, int argc, char **argv);
int cli_reload(struct cli *cli, int argc, char **argv);
int cli_policy(struct cli *cli, int argc, char **argv);
int cli_replay(struct cli *cli, int argc, char **argv);
