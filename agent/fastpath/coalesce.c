/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The coalescer: the flow table and when frames leave. What may be merged, and how, is in segment.c. */
#include "fastpath/coalesce.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fastpath/hash.h"
#include "fastpath/mss.h"
#include "fastpath/repeats.h"
#include "fastpath/segment.h"

/* A bucket: one cache line of tags is searched twice at most, and there is no chain to grow. */
#define WAYS 8
#define NOBODY UINT32_MAX

struct slot {
	struct packet_key key;
	uint64_t seen_ns; /* last small segment of the flow, 0 if there was none */
	uint32_t ack;	  /* what it acknowledged */
	uint32_t largest; /* IP packet of the flow so far */
	struct repeats repeats;
	uint64_t deadline_ns;	     /* while a frame is held: when it must leave */
	struct coalesce_frame frame; /* handle NULL: nothing is held */
	struct segment segment;	     /* of the frame */
	uint32_t next, prev;	     /* neighbours in the queue the slot is in */
	bool waits;		     /* in the hold queue, not in the burst queue */
};

/* Held slots in the order in which they must leave: every element of one queue waits equally long. */
struct queue {
	uint32_t first, last;
};

struct coalescer {
	struct coalesce_options options;
	struct coalesce_stats stats;
	struct queue burst, hold;
	uint32_t mask;	/* number of buckets - 1 */
	uint32_t *tags; /* hash of each slot's key; 0 = free */
	struct slot *slots;
};

struct coalescer *coalescer_new(const struct coalesce_options *options)
{
	struct coalescer *c;
	size_t slots = WAYS;

	if (options->flows < COALESCE_FLOWS_MIN || options->flows > COALESCE_FLOWS_MAX ||
	    options->hold_ns > COALESCE_HOLD_MAX_NS || options->max_len > UINT16_MAX || !options->emit ||
	    !options->absorb) {
		errno = EINVAL;
		return NULL;
	}
	while (slots < options->flows)
		slots *= 2;
	c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->options = *options;
	c->mask = slots / WAYS - 1;
	c->burst = c->hold = (struct queue){ NOBODY, NOBODY };
	c->tags = calloc(slots, sizeof(*c->tags));
	c->slots = calloc(slots, sizeof(*c->slots));
	if (!c->tags || !c->slots) {
		coalescer_free(c);
		errno = ENOMEM;
		return NULL;
	}
	return c;
}

static void enqueue(struct coalescer *c, struct queue *queue, uint32_t index)
{
	struct slot *slot = &c->slots[index];

	slot->prev = queue->last;
	slot->next = NOBODY;
	if (queue->last == NOBODY)
		queue->first = index;
	else
		c->slots[queue->last].next = index;
	queue->last = index;
}

static void dequeue(struct coalescer *c, struct queue *queue, uint32_t index)
{
	struct slot *slot = &c->slots[index];

	if (slot->prev == NOBODY)
		queue->first = slot->next;
	else
		c->slots[slot->prev].next = slot->next;
	if (slot->next == NOBODY)
		queue->last = slot->prev;
	else
		c->slots[slot->next].prev = slot->prev;
}

/* Takes the held frame out of the slot. */
static struct coalesce_frame take(struct coalescer *c, uint32_t index)
{
	struct slot *slot = &c->slots[index];
	struct coalesce_frame frame = slot->frame;

	dequeue(c, slot->waits ? &c->hold : &c->burst, index);
	slot->frame.handle = NULL;
	c->stats.held--;
	return frame;
}

static void release(struct coalescer *c, uint32_t index)
{
	struct coalesce_frame frame;

	if (!c->slots[index].frame.handle)
		return;
	frame = take(c, index);
	c->options.emit(c->options.context, &frame);
}

static void hold(struct coalescer *c, uint32_t index, const struct coalesce_frame *frame, const struct segment *segment,
		 uint64_t now_ns)
{
	struct slot *slot = &c->slots[index];

	slot->frame = *frame;
	slot->segment = *segment;
	/*
	 * Only a stream is worth waiting for: two segments close together with nothing received between them. A request
	 * that acknowledges the answer to the one before never waits, however fast the exchange is.
	 */
	slot->waits = c->options.hold_ns && slot->seen_ns && slot->ack == segment->ack &&
		      now_ns - slot->seen_ns <= c->options.hold_ns;
	slot->deadline_ns = slot->waits ? now_ns + c->options.hold_ns : now_ns;
	enqueue(c, slot->waits ? &c->hold : &c->burst, index);
	c->stats.held++;
}

static uint32_t key_hash(const struct packet_key *key, uint64_t seed)
{
	uint32_t hash = hash_bytes(key, sizeof(*key), seed);

	return hash ? hash : 1;
}

static uint32_t find(const struct coalescer *c, const struct packet_key *key, uint32_t hash)
{
	uint32_t first = (hash & c->mask) * WAYS;

	for (uint32_t i = first; i < first + WAYS; i++)
		if (c->tags[i] == hash && !memcmp(&c->slots[i].key, key, sizeof(*key)))
			return i;
	return NOBODY;
}

/* A slot for a new flow: a free one of its bucket, else the one that has been quiet for longest. */
static uint32_t claim(struct coalescer *c, const struct packet_key *key, uint32_t hash)
{
	uint32_t first = (hash & c->mask) * WAYS, best = first;

	for (uint32_t i = first; i < first + WAYS; i++) {
		if (!c->tags[i]) {
			best = i;
			break;
		}
		if (c->slots[i].seen_ns < c->slots[best].seen_ns)
			best = i;
	}
	if (c->tags[best]) {
		release(c, best);
		c->stats.evicted++;
	} else {
		c->stats.flows++;
	}
	c->tags[best] = hash;
	c->slots[best].key = *key;
	c->slots[best].seen_ns = 0;
	c->slots[best].largest = 0;
	c->slots[best].repeats = (struct repeats){ 0 };
	return best;
}

static void forget(struct coalescer *c, uint32_t index)
{
	c->tags[index] = 0;
	c->stats.flows--;
}

/* The largest IP packet to make of a flow of which nothing larger than `largest` was seen. */
static uint32_t limit_of(const struct coalescer *c, const struct packet_key *key, uint32_t largest, bool *known)
{
	uint32_t limit = c->options.mss ? mss_limit(c->options.mss, key) : UINT32_MAX;
	uint32_t careful = mss_careful(key->version);

	*known = limit;
	if (!limit)
		limit = largest > careful ? largest : careful;
	return limit < c->options.max_len ? limit : c->options.max_len;
}

/* True if the frame went into the one held in the slot. */
static bool append(struct coalescer *c, uint32_t index, const struct coalesce_frame *frame,
		   const struct segment *segment, uint32_t limit)
{
	struct slot *slot = &c->slots[index];

	if (!segment_follows(slot->frame.data, &slot->segment, frame->data, segment))
		return false;
	if (segment_total(&slot->segment) + segment->length > limit ||
	    slot->segment.end + segment->length > slot->frame.room)
		return false;
	slot->frame.length = segment_append(slot->frame.data, slot->frame.length, &slot->segment, frame->data, segment);
	c->stats.merged++;
	if (segment_total(&slot->segment) > mss_careful(slot->key.version))
		repeats_merge(&slot->repeats, segment->length);
	c->options.absorb(c->options.context, frame->handle);
	/* No use in waiting for another one of this size. */
	if (segment_total(&slot->segment) + segment->length > limit)
		release(c, index);
	return true;
}

/* Below the limit where larger ones have not arrived: see repeats.h. */
static uint32_t limit_after(struct slot *slot, const uint8_t *data, const struct packet *packet, uint32_t limit)
{
	uint32_t length = packet->end - packet->payload, careful = mss_careful(packet->version);

	if (!length || !repeats_see(&slot->repeats, segment_sequence(data, packet), length))
		return limit;
	return limit < careful ? limit : careful;
}

static void push_tcp(struct coalescer *c, const struct coalesce_frame *frame, const struct packet *packet,
		     uint64_t now_ns)
{
	struct segment segment;
	struct packet_key key;
	enum segment_verdict verdict;
	uint32_t hash, index, limit, size = packet->end - packet->l3;
	bool known;

	packet_key(frame->data, packet, &key);
	hash = key_hash(&key, c->options.seed);
	index = find(c, &key, hash);
	if (index != NOBODY && size > c->slots[index].largest)
		c->slots[index].largest = size;
	limit = limit_of(c, &key, index != NOBODY ? c->slots[index].largest : size, &known);
	if (index != NOBODY)
		limit = limit_after(&c->slots[index], frame->data, packet, limit);
	verdict = segment_read(frame->data, packet, limit, &segment);
	if (verdict != SEGMENT_SMALL) {
		if (verdict == SEGMENT_CORRUPT)
			c->stats.bad_checksum++;
		if (index != NOBODY) {
			release(c, index);
			if (verdict == SEGMENT_LAST)
				forget(c, index);
		} else if (verdict == SEGMENT_OTHER && !known && size > mss_careful(key.version)) {
			/* The one sign of how large the flow's packets may be: worth a place. */
			c->slots[claim(c, &key, hash)].largest = size;
		}
		c->options.emit(c->options.context, frame);
		return;
	}
	if (index == NOBODY) {
		index = claim(c, &key, hash);
		c->slots[index].largest = size;
		repeats_see(&c->slots[index].repeats, segment.sequence, segment.length);
	}
	if (c->slots[index].frame.handle) {
		if (c->slots[index].deadline_ns < now_ns || !append(c, index, frame, &segment, limit)) {
			release(c, index);
			hold(c, index, frame, &segment, now_ns);
		}
	} else {
		hold(c, index, frame, &segment, now_ns);
	}
	c->slots[index].seen_ns = now_ns;
	c->slots[index].ack = segment.ack;
}

void coalescer_push(struct coalescer *c, const struct coalesce_frame *frame, uint64_t now_ns)
{
	struct packet packet;

	packet_parse(frame->data, frame->length, &packet);
	if (c->options.mss)
		mss_learn(c->options.mss, frame->data, &packet);
	if (packet.kind == PACKET_TCP) {
		push_tcp(c, frame, &packet, now_ns);
		return;
	}
	if (packet.kind == PACKET_OPAQUE) {
		c->stats.opaque++;
		coalescer_flush(c);
	}
	c->options.emit(c->options.context, frame);
}

void coalescer_set_max_len(struct coalescer *c, uint32_t max_len)
{
	c->options.max_len = max_len;
}

void coalescer_expire(struct coalescer *c, uint64_t now_ns)
{
	while (c->burst.first != NOBODY)
		release(c, c->burst.first);
	while (c->hold.first != NOBODY && c->slots[c->hold.first].deadline_ns <= now_ns) {
		c->stats.delayed++;
		release(c, c->hold.first);
	}
}

void coalescer_flush(struct coalescer *c)
{
	while (c->burst.first != NOBODY)
		release(c, c->burst.first);
	while (c->hold.first != NOBODY)
		release(c, c->hold.first);
}

uint64_t coalescer_deadline(const struct coalescer *c)
{
	uint64_t deadline = UINT64_MAX;

	if (c->burst.first != NOBODY)
		deadline = c->slots[c->burst.first].deadline_ns;
	if (c->hold.first != NOBODY && c->slots[c->hold.first].deadline_ns < deadline)
		deadline = c->slots[c->hold.first].deadline_ns;
	return deadline;
}

const struct coalesce_stats *coalescer_stats(const struct coalescer *c)
{
	return &c->stats;
}

void coalescer_free(struct coalescer *c)
{
	if (!c)
		return;
	while (c->burst.first != NOBODY)
		c->options.absorb(c->options.context, take(c, c->burst.first).handle);
	while (c->hold.first != NOBODY)
		c->options.absorb(c->options.context, take(c, c->hold.first).handle);
	free(c->tags);
	free(c->slots);
	free(c);
}
