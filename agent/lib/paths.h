/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Where things are on an installed machine. */
#pragma once

/* Of the metrics and the web page. Neither IANA nor the list of Prometheus exporters gives it to anybody. A string, for
 * help and configuration; docs, dashboards and manifests say the same (tests/unit/test_docs.py). */
#define AUTOCORK_METRICS_PORT "12675"
#define AUTOCORK_METRICS "127.0.0.1:" AUTOCORK_METRICS_PORT

#define AUTOCORK_CONTROL "/run/autocork/control.sock"
/* Members of this group may ask a running agent; only root may change it. Without the group only root may ask. */
#define AUTOCORK_GROUP "autocork"
/* Held by the agent of this machine, whatever its control socket: the names of its congestion controls are the
 * kernel's. */
#define AUTOCORK_LOCK "/run/autocork/agent.lock"
