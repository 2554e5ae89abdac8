/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Does a flow have to send again what was merged? Then a router behind us may drop what is that large and tell nobody,
 * or not by this way. The sender may have found that out (RFC 4821) and sends small segments since, which are merged
 * here. So merged packets become small for a while, then large ones are tried again; each time that fails, for twice as
 * long. What was lost before it came here is no sign of that: it leaves a hole in the sequence. Pure.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct repeats {
	bool known;
	uint32_t next;	  /* sequence number behind all that came */
	uint32_t whole;	  /* bytes before `next` that came without a hole */
	uint32_t filled;  /* sequence number behind the last segment that filled a hole, or followed on one */
	uint32_t merged;  /* bytes added to packets that were above the careful size by then */
	uint32_t again;	  /* bytes that came a second time, though they had come whole */
	uint32_t careful; /* so many more bytes are merged to careful sizes only */
	uint32_t penance; /* how many that were the last time */
};

/* A segment came. True if no packet above the careful size may be made of it. */
bool repeats_see(struct repeats *repeats, uint32_t sequence, uint32_t length);
/* So many bytes were added to a packet above the careful size. */
void repeats_merge(struct repeats *repeats, uint32_t length);
