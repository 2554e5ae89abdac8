/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The receive queue: bytes in chunks of their own, not chained pbufs. A pbuf's tot_len has 16 bits, and one that refers
 * to a frame of the ring would keep it from the kernel for as long as the program does not read.
 */
#include <stdlib.h>
#include <string.h>

#include "endpoint/tcp_inside.h"

#define CHUNK_SMALL (512u - sizeof(struct chunk))
#define CHUNK_MIDDLE (2048u - sizeof(struct chunk))
#define CHUNK_LARGE (16384u - sizeof(struct chunk))

static uint32_t chunk_size(const struct receive_queue *queue, uint32_t len)
{
	uint32_t size = queue->bytes > CHUNK_MIDDLE ? CHUNK_LARGE : len <= CHUNK_SMALL ? CHUNK_SMALL : CHUNK_MIDDLE;

	return size > len ? size : len;
}

bool queue_append(struct receive_queue *queue, const void *data, uint32_t len)
{
	const uint8_t *at = data;
	struct chunk *last = queue->last;

	if (last && last->end < last->size) {
		uint32_t part = last->size - last->end;
		part = part < len ? part : len;
		memcpy(last->data + last->end, at, part);
		last->end += part;
		queue->bytes += part;
		at += part;
		len -= part;
	}
	if (len) {
		uint32_t size = chunk_size(queue, len);
		struct chunk *chunk = malloc(sizeof(*chunk) + size);
		if (!chunk)
			return false;
		*chunk = (struct chunk){ .size = size, .end = len };
		memcpy(chunk->data, at, len);
		if (last)
			last->next = chunk;
		else
			queue->first = chunk;
		queue->last = chunk;
		queue->bytes += len;
	}
	return true;
}

uint32_t queue_copy(const struct receive_queue *queue, const struct iovec *iov, int count)
{
	const struct chunk *chunk = queue->first;
	uint32_t offset = chunk ? chunk->start : 0, done = 0;

	for (int i = 0; i < count; i++) {
		for (size_t at = 0; at < iov[i].iov_len;) {
			while (chunk && offset == chunk->end) {
				chunk = chunk->next;
				offset = chunk ? chunk->start : 0;
			}
			if (!chunk)
				return done;
			size_t part = chunk->end - offset;
			part = part < iov[i].iov_len - at ? part : iov[i].iov_len - at;
			memcpy((uint8_t *)iov[i].iov_base + at, chunk->data + offset, part);
			at += part;
			offset += part;
			done += part;
		}
	}
	return done;
}

void queue_drop(struct receive_queue *queue, uint32_t bytes)
{
	while (bytes) {
		struct chunk *chunk = queue->first;
		uint32_t part = chunk->end - chunk->start;

		part = part < bytes ? part : bytes;
		chunk->start += part;
		queue->bytes -= part;
		bytes -= part;
		if (chunk->start == chunk->end) {
			queue->first = chunk->next;
			if (!queue->first)
				queue->last = NULL;
			free(chunk);
		}
	}
}
