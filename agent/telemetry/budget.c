/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "telemetry/budget.h"

#define ROOM 3.0

unsigned budget_step(unsigned shift, double share, double budget)
{
	if (budget <= 0)
		return 0;
	if (share > budget)
		return shift < BUDGET_SHIFT_MAX ? shift + 1 : shift;
	return shift && share * ROOM < budget ? shift - 1 : shift;
}
