/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What is this machine's: its addresses, and the link addresses by which an interface's frames reach it. */
#pragma once
#include "lib/fault.h"
#include "steer/steer_tables.h"

/*
 * Asks the kernel and brings the tables up to date: to be called with the lock held, at first and whenever addresses
 * or interfaces change. What stays is never missing in between.
 */
int local_refresh(const struct steer_tables *tables, int ifindex, struct fault *fault);
