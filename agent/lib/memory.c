/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "lib/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/fault.h"
#include "lib/log.h"

static void *there(void *memory)
{
	if (!memory) {
		log_error("memory: none left: raise MemoryMax= of the service, or use fewer policies");
		exit(EXIT_FAILED);
	}
	return memory;
}

void *memory_zeroed(size_t count, size_t size)
{
	return there(calloc(count ? count : 1, size));
}

char *memory_string(const char *text)
{
	return there(strdup(text));
}

char *memory_format(const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	return there(text);
}

void *memory_room(void *array, size_t count, size_t size)
{
	if (count && (count < 8 || (count & (count - 1))))
		return array;
	return there(reallocarray(array, count ? 2 * count : 8, size));
}
