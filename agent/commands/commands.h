/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The run functions of the subcommands that live in this folder; bench, steer and fastpath have theirs. */
#pragma once

struct cli;

int command_status(struct cli *cli, int argc, char **argv);
int command_services(struct cli *cli, int argc, char **argv);
int command_flows(struct cli *cli, int argc, char **argv);
int command_doctor(struct cli *cli, int argc, char **argv);
int command_advise(struct cli *cli, int argc, char **argv);
int command_events(struct cli *cli, int argc, char **argv);
int command_explain(struct cli *cli, int argc, char **argv);
int command_responses(struct cli *cli, int argc, char **argv);
int command_top(struct cli *cli, int argc, char **argv);
int command_trial(struct cli *cli, int argc, char **argv);
int command_reload(struct cli *cli, int argc, char **argv);
int command_policy(struct cli *cli, int argc, char **argv);
int command_try(struct cli *cli, int argc, char **argv);
int command_run(struct cli *cli, int argc, char **argv);
int command_endpoint(struct cli *cli, int argc, char **argv);
int command_record(struct cli *cli, int argc, char **argv);
int command_replay(struct cli *cli, int argc, char **argv);
