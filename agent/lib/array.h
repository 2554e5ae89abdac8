/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Arrays that grow by one element at a time, where running out of memory is an error that the caller reports.
 * Where it ends the process instead: memory_room() (lib/memory.h). */
#pragma once
#include <stdbool.h>
#include <stddef.h>

/*
 * Room for one element of `size` bytes more. `array` is the address of the pointer to the first element (NULL for an
 * empty one), `room` how many have room; both change where the array moves. False without memory: nothing has changed.
 */
bool array_room(void *array, size_t count, size_t *room, size_t size);
