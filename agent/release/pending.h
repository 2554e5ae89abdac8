/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What was handed over ahead of its time, in the order of the times. */
#pragma once
#include <autocork/release.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What finds no room is left to the wheel, which hands it over once more. */
#define PENDING_MAX 4096 /* a power of two */

struct pending {
	size_t first, count;
	struct ac_due due[PENDING_MAX];
};

bool pending_is_over(const struct ac_due *due, uint32_t now_us);
void pending_add(struct pending *pending, const struct ac_due *due);
/* False if none of it is over yet. */
bool pending_take(struct pending *pending, uint32_t now_us, struct ac_due *due);
/* Microseconds until then, 0 if one is over, -1 if there is none. */
int64_t pending_rest_us(const struct pending *pending, uint32_t now_us);
