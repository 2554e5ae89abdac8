/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "commands/response_waste.h"

#include <stdbool.h>
#include <string.h>

const struct response_waste_text response_waste_texts[RESPONSE_WASTE_MAX] = {
#define X(id, name, unit, text, advice) { name, unit, text, advice },
	RESPONSE_WASTES(X)
#undef X
};

uint32_t response_segments_needed(const struct ac_event_response *r)
{
	return r->mss ? r->bytes / r->mss + !!(r->bytes % r->mss) : 0;
}

void response_waste_judge(const struct ac_event_response *r, uint64_t amounts[RESPONSE_WASTE_MAX])
{
	bool corked = r->flags & AC_RESPONSE_TAIL_CORKED;
	uint32_t needed = response_segments_needed(r);

	memset(amounts, 0, RESPONSE_WASTE_MAX * sizeof(*amounts));
	amounts[RESPONSE_WASTE_IDLE_OPTIONS] = r->idle_calls;
	/* A first part of half a segment or more is no header that was forgotten. */
	if (r->head_bytes && r->head_bytes < r->mss / 2 && r->writes > 1 && r->bytes > r->head_bytes &&
	    r->gap_us < WASTE_GAP_US)
		amounts[RESPONSE_WASTE_HEAD_ALONE] = 1;
	/* After a loss the tail waits for other reasons. */
	if (r->tail_us > WASTE_TAIL_US && !r->retransmits)
		amounts[corked ? RESPONSE_WASTE_CORKED_TAIL : RESPONSE_WASTE_LATE_TAIL] = r->tail_us;
	if (needed && r->segments > needed && !(r->flags & AC_RESPONSE_OVERLAPS))
		amounts[RESPONSE_WASTE_MORE_SEGMENTS] = r->segments - needed;
}
