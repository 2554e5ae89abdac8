/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Steering: rules from the policy files put in force on interfaces, by the XDP program of bpf/steer.bpf.c.
 *
 * Everything that must outlive the caller is pinned in a bpffs (steer_root()), one directory per interface; so the agent, the
 * command line and an agent that was restarted see and change the same state, and a crash never breaks a steered connection.
 */
#pragma once
#include <autocork/steer.h>
#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/fault.h"

