/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "release/pending.h"

static struct ac_due *at(struct pending *pending, size_t place)
{
	return &pending->due[(pending->first + place) & (PENDING_MAX - 1)];
}

bool pending_is_over(const struct ac_due *due, uint32_t now_us)
{
	return (int32_t)(now_us - due->due_us) >= 0;
}

void pending_add(struct pending *pending, const struct ac_due *due)
{
	size_t place = pending->count;

	if (place == PENDING_MAX)
		return;
	/* Policies differ in how long they hold, so it comes nearly in order. */
	for (; place && (int32_t)(at(pending, place - 1)->due_us - due->due_us) > 0; place--)
		*at(pending, place) = *at(pending, place - 1);
	*at(pending, place) = *due;
	pending->count++;
}

bool pending_take(struct pending *pending, uint32_t now_us, struct ac_due *due)
{
	if (pending_rest_us(pending, now_us))
		return false;
	*due = *at(pending, 0);
	pending->first = (pending->first + 1) & (PENDING_MAX - 1);
	pending->count--;
	return true;
}

int64_t pending_rest_us(const struct pending *pending, uint32_t now_us)
{
	const struct ac_due *first = &pending->due[pending->first];

	if (!pending->count)
		return -1;
	return pending_is_over(first, now_us) ? 0 : first->due_us - now_us;
}
