/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* How much of the observed flows telemetry may look at, so that it stays in its budget. Pure. */
#pragma once

#define BUDGET_SHIFT_MAX 7	/* at least 1 flow in 128 is looked at */

/*
 * The next sampling shift (1 flow in 2^shift is looked at), given the share of one CPU that observing took in the last
 * window. Above the budget it doubles; it halves only where twice the cost would still be in the budget with room to
 * spare, so that it does not swing. budget 0 = no bound.
 */
unsigned budget_step(unsigned shift, double share, double budget);
