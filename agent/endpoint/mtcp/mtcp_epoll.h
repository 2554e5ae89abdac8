/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* mTCP's epoll: as the kernel's, with socket numbers of a context (mtcp_api.h). */
#ifndef AUTOCORK_MTCP_EPOLL_H
#define AUTOCORK_MTCP_EPOLL_H

#include "mtcp_api.h"

#ifdef __cplusplus
extern "C" {
#endif

enum mtcp_epoll_op { MTCP_EPOLL_CTL_ADD = 1, MTCP_EPOLL_CTL_DEL = 2, MTCP_EPOLL_CTL_MOD = 3 };

/* Bits of mtcp_epoll_event.events. Without MTCP_EPOLLET a level, with it an edge; ERR and HUP are told in any case. */
enum mtcp_event_type {
	MTCP_EPOLLNONE = 0x000,
	MTCP_EPOLLIN = 0x001,
	MTCP_EPOLLPRI = 0x002,
	MTCP_EPOLLOUT = 0x004,
	MTCP_EPOLLRDNORM = 0x040,
	MTCP_EPOLLRDBAND = 0x080,
	MTCP_EPOLLWRNORM = 0x100,
	MTCP_EPOLLWRBAND = 0x200,
	MTCP_EPOLLMSG = 0x400,
	MTCP_EPOLLERR = 0x008,
	MTCP_EPOLLHUP = 0x010,
	MTCP_EPOLLRDHUP = 0x2000,
	MTCP_EPOLLONESHOT = (1 << 30),
	MTCP_EPOLLET = (int)(1u << 31)
};

/* The program's own word of a socket. */
typedef union mtcp_epoll_data {
	void *ptr;
	int sockid;
	uint32_t u32;
	uint64_t u64;
} mtcp_epoll_data_t;

/* The shape of the kernel's struct epoll_event: packed on x86-64. */
struct mtcp_epoll_event {
	uint32_t events;
	mtcp_epoll_data_t data;
#ifdef __x86_64__
} __attribute__((packed));
#else
};
#endif

/* size: more than 0, else it does not matter. The set's number is closed by mtcp_close(). */
int mtcp_epoll_create(mctx_t mctx, int size);
/* flags: 0 (and EPOLL_CLOEXEC, which sets always have). */
int mtcp_epoll_create1(mctx_t mctx, int flags);
int mtcp_epoll_ctl(mctx_t mctx, int epid, int op, int sockid, struct mtcp_epoll_event *event);
/* How many of events are filled; timeout in ms, -1: without end. Everything else of the context runs in here too. */
int mtcp_epoll_wait(mctx_t mctx, int epid, struct mtcp_epoll_event *events, int maxevents, int timeout);
/* "MTCP_EPOLLIN" and so on of the lowest bit that is set, "MTCP_EPOLLNONE" for none. Not to be changed. */
char *EventToString(uint32_t event);

#ifdef __cplusplus
}
#endif

#endif
