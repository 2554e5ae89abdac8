/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The subcommands of autocork that live in this folder. */
#pragma once
#include "cli/cli.h"

int telemetry_advise(struct cli *cli, int argc, char **argv);
int telemetry_trial(struct cli *cli, int argc, char **argv);
int telemetry_top(struct cli *cli, int argc, char **argv);
int telemetry_events(struct cli *cli, int argc, char **argv);
int telemetry_explain(struct cli *cli, int argc, char **argv);
int telemetry_responses(struct cli *cli, int argc, char **argv);
