/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What is wrong with policy files, collected until all of it is known. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"
#include "policy/sections.h"

void policy_error_add(struct policy_errors *errors, const char *file, int line, const char *format, ...)
{
	va_list args;
	char *what;

	va_start(args, format);
	if (vasprintf(&what, format, args) < 0)
		what = memory_string(format);
	va_end(args);
	/* It quotes what is in a file, and ends on terminals. */
	for (char *at = what; *at; at++) {
		if ((unsigned char)*at < ' ' || *at == 0x7f)
			*at = '?';
	}
	errors->list = memory_room(errors->list, errors->count, sizeof(*errors->list));
	errors->list[errors->count++] = (struct policy_error){ memory_string(file), line, what };
}

void policy_errors_free(struct policy_errors *errors)
{
	for (size_t i = 0; i < errors->count; i++) {
		free(errors->list[i].file);
		free(errors->list[i].what);
	}
	free(errors->list);
	memset(errors, 0, sizeof(*errors));
}
