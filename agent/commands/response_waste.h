/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What a response cost that it need not have cost, and what to do about it. Pure. */
#pragma once
#include <autocork/event.h>
#include <stdint.h>

#define WASTE_GAP_US 1000	/* what follows the header within that follows at once */
#define WASTE_TAIL_US 1000	/* a last part that leaves later was late: it waited for the peer or a timer */

/* X(id, name in JSON and text, unit of the amount, what it is, what to do) */
#define RESPONSE_WASTES(X)                                                                                          \
	X(IDLE_OPTIONS, "idle_options", "calls", "setsockopt calls changed nothing",                                \
	  "set TCP_NODELAY once after accept or connect, and TCP_CORK only where it is not yet as wanted")          \
	X(HEAD_ALONE, "head_alone", "segments", "a small first part was sent alone, and more followed at once",     \
	  "write header and body with one writev(), or send the header with MSG_MORE; or manage it (mode = autocork)") \
	X(LATE_TAIL, "late_tail", "microseconds", "the last part waited for an acknowledgement (Nagle's algorithm)", \
	  "set TCP_NODELAY and write the response with one call; or manage it (mode = autocork)")                   \
	X(CORKED_TAIL, "corked_tail", "microseconds", "the last part waited under TCP_CORK",                        \
	  "take TCP_CORK off right after the last write, or send all but the last with MSG_MORE instead")           \
	X(MORE_SEGMENTS, "more_segments", "segments", "it left in more segments than its bytes need",               \
	  "write it with fewer calls: writev(), a larger buffer, MSG_MORE; or manage it (mode = autocork)")

enum response_waste {
#define X(id, name, unit, text, advice) RESPONSE_WASTE_##id,
	RESPONSE_WASTES(X)
#undef X
	RESPONSE_WASTE_MAX,
};

struct response_waste_text {
	const char *name, *unit, *text, *advice;
};

extern const struct response_waste_text response_waste_texts[RESPONSE_WASTE_MAX];

/* The fewest data segments that carry the response; 0 where the size of a segment is not known. */
uint32_t response_segments_needed(const struct ac_event_response *response);
/* How much of each waste is in the response, in the waste's unit; 0: none. */
void response_waste_judge(const struct ac_event_response *response, uint64_t amounts[RESPONSE_WASTE_MAX]);
