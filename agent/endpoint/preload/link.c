/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "endpoint/preload/link.h"

#include <linux/membarrier.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "endpoint/preload/descriptors.h"
#include "endpoint/preload/real.h"

#define TRY_FIRST UINT64_C(50000000)
#define TRY_LAST UINT64_C(5000000000)

struct link link_state = { .broker = -1, .xsk = -1 };

static void *map_once(int fd, size_t size)
{
	void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	REAL(close)(fd);
	if (page == MAP_FAILED)
		return NULL;
	madvise(page, size, MADV_DONTFORK);
	return page;
}

static void forget_pages(void)
{
	if (link_state.page)
		munmap(link_state.page, ENDPOINT_PAGE_SIZE);
	if (link_state.door)
		munmap(link_state.door, sizeof(*link_state.door));
}

/* What was counted stays: the new page goes on where the old one was. The new door has no port closed. */
static void take_pages(const struct ask_pages *pages)
{
	struct endpoint_page *page = map_once(pages->statistics, ENDPOINT_PAGE_SIZE);

	if (page && link_state.page)
		*page = *link_state.page;
	forget_pages();
	link_state.page = page;
	link_state.door = map_once(pages->door, sizeof(*link_state.door));
}

void link_open_port(uint16_t port)
{
	if (link_state.door)
		__atomic_and_fetch(&link_state.door->closed[port / 32], ~(UINT32_C(1) << port % 32), __ATOMIC_SEQ_CST);
}

void link_shut_port(uint16_t port)
{
	if (link_state.door)
		__atomic_or_fetch(&link_state.door->closed[port / 32], UINT32_C(1) << port % 32, __ATOMIC_SEQ_CST);
	/* With an agent its answer takes longer than a packet that has just passed the door. */
	if (link_state.broker < 0)
		syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
}

int link_open(int listener, const char *interface, struct endpoint_answer *grant)
{
	struct ask_pages pages;

	link_state.broker = files_hide(ask_connect());
	if (link_state.broker < 0)
		return -1;
	if (ask_open(link_state.broker, listener, interface, grant, &pages)) {
		link_close();
		return -1;
	}
	take_pages(&pages);
	grant->interface[IF_NAMESIZE - 1] = 0;
	strcpy(link_state.interface, grant->interface);
	link_state.queue = grant->queue;
	grant->ring.xsk = files_hide(grant->ring.xsk);
	grant->ring.umem = files_hide(grant->ring.umem);
	link_state.xsk = grant->ring.xsk;
	link_state.delay = TRY_FIRST;
	return 0;
}

void link_close(void)
{
	forget_pages();
	if (link_state.broker >= 0)
		files_unhide(link_state.broker);
	link_state = (struct link){ .broker = -1, .xsk = -1 };
}

void link_forked(void)
{
	link_state = (struct link){ .broker = -1, .xsk = -1 };
}

static bool lives(void)
{
	struct pollfd look = { link_state.broker, POLLIN, 0 };

	if (!REAL(poll)(&look, 1, 0))
		return true;
	if (look.revents & POLLIN)
		ask_hear_unasked(link_state.broker);
	return !(look.revents & ~POLLIN);
}

static bool join(void)
{
	int broker = files_hide(ask_connect());
	struct ask_pages pages;

	if (broker < 0)
		return false;
	if (ask_join(broker, link_state.xsk, link_state.interface, link_state.queue, &pages)) {
		files_unhide(broker);
		return false;
	}
	take_pages(&pages);
	link_state.broker = broker;
	link_state.delay = TRY_FIRST;
	return true;
}

bool link_keep(uint64_t now)
{
	if (link_state.xsk < 0)
		return false;
	if (link_state.broker >= 0) {
		if (lives())
			return false;
		files_unhide(link_state.broker);
		link_state.broker = -1;
		link_state.try_again = now;
	}
	if (now < link_state.try_again)
		return false;
	link_state.try_again = now + link_state.delay;
	link_state.delay = link_state.delay * 2 < TRY_LAST ? link_state.delay * 2 : TRY_LAST;
	return join();
}

uint64_t link_deadline(void)
{
	return link_state.xsk >= 0 && link_state.broker < 0 ? link_state.try_again : UINT64_MAX;
}
