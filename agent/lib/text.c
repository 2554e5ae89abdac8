/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "lib/text.h"

#include <string.h>

#include "lib/json.h"

char *text_clean(char *to, size_t size, const char *from, size_t length)
{
	json_t *text = json_text(from, length);
	const char *clean = json_string_value(text) ?: "";
	size_t used = strlen(clean);

	if (used >= size)
		used = size - 1;
	/* No half of a character: 10xxxxxx are the bytes after the first. */
	while (clean[used] && (clean[used] & 0xc0) == 0x80)
		used--;
	memcpy(to, clean, used);
	to[used] = '\0';
	json_decref(text);
	return to;
}
