/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>

#include "endpoint/mtcp/context.h"

int context_open_table(mctx_t mctx, int size)
{
	mctx->entries = calloc(size, sizeof(*mctx->entries));
	if (!mctx->entries)
		return -1;
	pthread_mutex_init(&mctx->lock, NULL);
	mctx->size = size;
	for (int i = 0; i < size; i++)
		mctx->entries[i].fd = i + 1 < size ? i + 1 : -1;
	return 0;
}

void context_close_table(mctx_t mctx)
{
	for (int i = 0; i < mctx->size; i++)
		if (mctx->entries[i].type != MTCP_SOCK_UNUSED)
			mctx->stack->close(mctx->entries[i].fd);
	free(mctx->entries);
	pthread_mutex_destroy(&mctx->lock);
}

static int fail(int error)
{
	errno = error;
	return -1;
}

int context_find(mctx_t mctx, int sockid, unsigned types, int wrong)
{
	if (!mctx)
		return fail(EACCES);
	if (sockid < 0 || sockid >= mctx->size || mctx->entries[sockid].type == MTCP_SOCK_UNUSED)
		return fail(EBADF);
	if (types && !(types & 1u << mctx->entries[sockid].type))
		return fail(wrong);
	return mctx->entries[sockid].fd;
}

int context_has_room(mctx_t mctx)
{
	return !mctx ? fail(EACCES) : __atomic_load_n(&mctx->free, __ATOMIC_RELAXED) < 0 ? fail(ENFILE) : 0;
}

int context_add(mctx_t mctx, int fd, enum socket_type type)
{
	int sockid;

	if (fd < 0)
		return -1;
	pthread_mutex_lock(&mctx->lock);
	sockid = mctx->free;
	if (sockid >= 0) {
		mctx->free = mctx->entries[sockid].fd;
		mctx->entries[sockid] = (struct entry){ fd, type };
		mctx->streams += type == MTCP_SOCK_STREAM;
	}
	pthread_mutex_unlock(&mctx->lock);
	if (sockid >= 0)
		return sockid;
	mctx->stack->close(fd);
	return fail(ENFILE);
}

void context_remove(mctx_t mctx, int sockid)
{
	pthread_mutex_lock(&mctx->lock);
	mctx->streams -= mctx->entries[sockid].type == MTCP_SOCK_STREAM;
	mctx->entries[sockid] = (struct entry){ mctx->free, MTCP_SOCK_UNUSED };
	mctx->free = sockid;
	pthread_mutex_unlock(&mctx->lock);
}

void context_turn_into(mctx_t mctx, int sockid, enum socket_type type)
{
	pthread_mutex_lock(&mctx->lock);
	mctx->streams -= mctx->entries[sockid].type == MTCP_SOCK_STREAM;
	mctx->streams += type == MTCP_SOCK_STREAM;
	mctx->entries[sockid].type = type;
	pthread_mutex_unlock(&mctx->lock);
}
