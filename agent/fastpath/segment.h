/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* One TCP segment: whether it may be merged, whether another follows on it, and the merging of the two. Pure. */
#pragma once
#include "fastpath/packet.h"

enum segment_verdict {
	SEGMENT_SMALL,	 /* may be merged with others */
	SEGMENT_OTHER,	 /* nothing may be merged with it: no data, too long, other flags … */
	SEGMENT_CORRUPT, /* the same, because a checksum is wrong: merging would make the damage look right */
	SEGMENT_LAST,	 /* the same, and its flow ends or starts: SYN, FIN, RST */
};

/* What is known of a segment that may be merged. Offsets into its frame. */
struct segment {
	uint32_t sequence; /* of the first data byte */
	uint32_t ack;
	uint32_t length;   /* data bytes */
	uint16_t data_sum; /* one's complement sum of the data as it arrived, folded */
	uint16_t l3, l4, data, end;
	uint8_t version;
};

/* Number of its first data byte. */
uint32_t segment_sequence(const uint8_t *frame, const struct packet *packet);
enum segment_verdict segment_read(const uint8_t *frame, const struct packet *packet, uint32_t max_len,
				  struct segment *segment);
/* True if `next` is of the same making as `head` and starts where it ends. Both belong to one flow. */
bool segment_follows(const uint8_t *head_frame, const struct segment *head, const uint8_t *next_frame,
		     const struct segment *next);
/* Appends the data of `next` to `head`, whose buffer has the room, and mends its headers; returns the new length of the
 * frame. */
uint32_t segment_append(uint8_t *head_frame, uint32_t frame_length, struct segment *head, const uint8_t *next_frame,
			const struct segment *next);

/* Length of the IP datagram. */
static inline uint32_t segment_total(const struct segment *segment)
{
	return segment->end - segment->l3;
}
