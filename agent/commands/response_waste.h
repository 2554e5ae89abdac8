/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What a response cost that it need not have cost, and what to do about it, in words. */
#pragma once
#include <autocork/response_sum.h>

struct response_waste_text {
	const char *name, *unit, *text, *advice;
};

extern const struct response_waste_text response_waste_texts[AC_WASTE_MAX];
