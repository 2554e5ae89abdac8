/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "lib/array.h"

#include <stdlib.h>
#include <string.h>

#define ROOM_FIRST 32

bool array_room(void *array, size_t count, size_t *room, size_t size)
{
	size_t wanted = *room ? *room * 2 : ROOM_FIRST;
	void *elements;

	if (count < *room)
		return true;
	/* A pointer to any type is read and written as bytes: C has no pointer to all of them. */
	memcpy(&elements, array, sizeof(elements));
	/* cppcheck-suppress memleakOnRealloc ; the caller has the old one still */
	elements = reallocarray(elements, wanted, size);
	if (!elements)
		return false;
	memcpy(array, &elements, sizeof(elements));
	*room = wanted;
	return true;
}
