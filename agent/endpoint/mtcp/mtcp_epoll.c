/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* epoll with a context's numbers. Operations, bits and shapes are the kernel's: nothing is translated. */
#include <assert.h>
#include <errno.h>

#include "endpoint/mtcp/context.h"
#include "endpoint/mtcp/mtcp_epoll.h"

#define EPOLL (1u << MTCP_SOCK_EPOLL)

static_assert(sizeof(struct mtcp_epoll_event) == sizeof(struct epoll_event), "their shapes");
static_assert(offsetof(struct mtcp_epoll_event, data) == offsetof(struct epoll_event, data), "their shapes");
static_assert((int)MTCP_EPOLL_CTL_ADD == EPOLL_CTL_ADD && (int)MTCP_EPOLL_CTL_DEL == EPOLL_CTL_DEL &&
		      (int)MTCP_EPOLL_CTL_MOD == EPOLL_CTL_MOD,
	      "their operations");

/* The table of bits, from the lowest on. */
static const struct {
	uint32_t bit;
	char name[20];
} bits[] = {
/* clang-format off */
#define BIT(name) { (uint32_t)MTCP_##name, "MTCP_" #name }
	BIT(EPOLLIN), BIT(EPOLLPRI), BIT(EPOLLOUT), BIT(EPOLLERR), BIT(EPOLLHUP), BIT(EPOLLRDNORM), BIT(EPOLLRDBAND),
	BIT(EPOLLWRNORM), BIT(EPOLLWRBAND), BIT(EPOLLMSG), BIT(EPOLLRDHUP), BIT(EPOLLONESHOT), BIT(EPOLLET),
#undef BIT
	/* clang-format on */
};
#define SAME(name) static_assert((uint32_t)MTCP_##name == (uint32_t)name, "the kernel's bits")
SAME(EPOLLIN);
SAME(EPOLLPRI);
SAME(EPOLLOUT);
SAME(EPOLLERR);
SAME(EPOLLHUP);
SAME(EPOLLRDNORM);
SAME(EPOLLRDBAND);
SAME(EPOLLWRNORM);
SAME(EPOLLWRBAND);
SAME(EPOLLMSG);
SAME(EPOLLRDHUP);
SAME(EPOLLONESHOT);
SAME(EPOLLET);

API int mtcp_epoll_create1(mctx_t mctx, int flags)
{
	if (context_has_room(mctx))
		return -1;
	if (flags & ~EPOLL_CLOEXEC) {
		errno = EINVAL;
		return -1;
	}
	return context_add(mctx, epoll_create1(EPOLL_CLOEXEC), MTCP_SOCK_EPOLL);
}

API int mtcp_epoll_create(mctx_t mctx, int size)
{
	if (mctx && size <= 0) {
		errno = EINVAL;
		return -1;
	}
	return mtcp_epoll_create1(mctx, 0);
}

API int mtcp_epoll_ctl(mctx_t mctx, int epid, int op, int sockid, struct mtcp_epoll_event *event)
{
	int set = context_find(mctx, epid, EPOLL, EINVAL);
	int fd = set < 0 ? -1 : context_find(mctx, sockid, 0, 0);

	return fd < 0 ? -1 : mctx->stack->epoll_ctl(set, op, fd, (struct epoll_event *)event);
}

API int mtcp_epoll_wait(mctx_t mctx, int epid, struct mtcp_epoll_event *events, int maxevents, int timeout)
{
	int set = context_find(mctx, epid, EPOLL, EINVAL);

	return set < 0 ? -1 : mctx->stack->epoll_wait(set, (struct epoll_event *)events, maxevents, timeout);
}

API char *EventToString(uint32_t event)
{
	for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++)
		if (event & bits[i].bit)
			return (char *)bits[i].name;
	return (char *)"MTCP_EPOLLNONE";
}
