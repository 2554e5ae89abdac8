/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* How many descriptors the agent may have: whoever starts it by hand may have few (ulimit -n). */
#pragma once
#include <stdbool.h>

#include "lib/fault.h"

/* Raises the limit to what is enough, or as far as it can be raised. *few: that does for observing only. A fault: for
 * nothing. */
int limits_raise(bool *few, struct fault *fault);
