/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "lib/fault.h"

#include <stdarg.h>
#include <stdio.h>

int fault_set(struct fault *fault, enum exit_code exit_code, const char *format, ...)
{
	va_list args;

	fault->exit_code = exit_code;
	va_start(args, format);
	vsnprintf(fault->text, sizeof(fault->text), format, args);
	va_end(args);
	return -1;
}
