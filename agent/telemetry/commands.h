/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The subcommands of autocork that live in this folder, and what their options share. */
#pragma once
#include "cli/cli.h"

int telemetry_advise(struct cli *cli, int argc, char **argv);
int telemetry_trial(struct cli *cli, int argc, char **argv);
int telemetry_top(struct cli *cli, int argc, char **argv);
int telemetry_events(struct cli *cli, int argc, char **argv);
int telemetry_explain(struct cli *cli, int argc, char **argv);
int telemetry_responses(struct cli *cli, int argc, char **argv);

/* "30s", "2m", "1h" or a bare number of seconds, between low and high; anything else is a usage error that names the
 * option. */
double argument_seconds(const struct argp_state *state, const char *option, const char *text, double low, double high);
