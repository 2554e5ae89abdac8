/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What runs of autocork-fastpath, as JSON: for `autocork fastpath --json` (docs/schema/fastpath.json) and the agent's
 * status. */
#pragma once
#include <jansson.h>

/* {"instances": [{"name", "job", "state", "pid", "uptime_seconds", "cycles_per_packet", "queues": [{…}]}]} */
json_t *fastpath_json(const char *dir);
