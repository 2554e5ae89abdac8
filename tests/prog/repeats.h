/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* How often a test repeats what it does by the thousand. */
#pragma once
#include <stdlib.h>

/* An emulated processor (tests/vm/guest/prog.sh) is some thirty times as slow: there it is another kernel that counts,
 * not the number. */
static inline unsigned int repeats(unsigned int natively)
{
	return getenv("EMULATED") ? natively / 20 : natively;
}
