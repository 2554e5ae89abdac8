/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The autocork-fastpath processes whose counters are beside the agent's control socket (NULL: the usual one). */
#pragma once
#include "telemetry/snapshot.h"

void fastpath_snapshot(const char *control, struct telemetry_snapshot *snapshot);
