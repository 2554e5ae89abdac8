/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The agent's state as JSON (docs/control.md has the shapes) and as log lines. */
#pragma once
#include "daemon/daemon.h"

/* "autocork" where at least one wrapper works, else "observe". */
const char *report_mode(const struct engine_feature *features, size_t count);
const char *report_daemon_mode(const struct daemon *daemon);
/* Why not all that the policy files ask for is in force, and the next step; NULL: it is. Valid until the next call. */
const char *report_unmet(const struct daemon *daemon);
/* Says once what runs. */
void report_log(const struct daemon *daemon);

json_t *report_agent(const struct daemon *daemon);
json_t *report_policy(const struct daemon *daemon);
json_t *report_features(const struct engine_feature *features, size_t count);
/* A set of the members that a service has. spreads: also the histograms. */
uint64_t report_members(bool spreads);
int report_members_named(const json_t *names, uint64_t *set, struct fault *fault);
/* zeros: also the counters by reason and the like that are 0. */
json_t *report_service(const struct engine_service *service, uint64_t set, bool zeros);
json_t *report_flow(const struct daemon *daemon, const struct engine_flow *flow);
