/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Where things are on an installed machine. */
#pragma once

#define AUTOCORK_CONTROL "/run/autocork/control.sock"
/* Members of this group may ask a running agent; only root may change it. Without the group only root may ask. */
#define AUTOCORK_GROUP "autocork"
/* Held by the agent of this machine, whatever its control socket: the names of its congestion controls are the
 * kernel's. */
#define AUTOCORK_LOCK "/run/autocork/agent.lock"
