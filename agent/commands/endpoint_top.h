/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#pragma once
#include "cli/cli.h"
#include "commands/endpoint_view.h"
#include "commands/live.h"

struct endpoint_top {
	enum endpoint_column sort;
	bool once;
	double delay_s;
	char filter[LIVE_FILTER];
};

/* autocork endpoint top: the programs with TCP of their own, live. Non-zero with fault. */
int endpoint_top(struct cli *cli, const struct endpoint_top *options, struct fault *fault);
