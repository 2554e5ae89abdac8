/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "commands/response_waste.h"

const struct response_waste_text response_waste_texts[AC_WASTE_MAX] = {
#define X(id, name, unit, text, advice) { name, unit, text, advice },
	AC_WASTES(X)
#undef X
};
