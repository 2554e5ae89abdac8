/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "endpoint/preload/link.h"

#include <poll.h>
#include <string.h>
#include <sys/mman.h>

#include "endpoint/preload/descriptors.h"
#include "endpoint/preload/real.h"

#define TRY_FIRST UINT64_C(50000000)
#define TRY_LAST UINT64_C(5000000000)

struct link link_state = { .broker = -1, .xsk = -1 };

/* What was counted stays: the new page goes on where the old one was. */
static void take_page(int fd)
{
	struct endpoint_page *page = mmap(NULL, ENDPOINT_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	REAL(close)(fd);
	if (page == MAP_FAILED)
		page = NULL;
	else
		madvise(page, ENDPOINT_PAGE_SIZE, MADV_DONTFORK);
	if (page && link_state.page)
		*page = *link_state.page;
	if (link_state.page)
		munmap(link_state.page, ENDPOINT_PAGE_SIZE);
	link_state.page = page;
}

int link_open(int listener, const char *interface, struct endpoint_answer *grant)
{
	int page;

	link_state.broker = files_hide(ask_connect());
	if (link_state.broker < 0)
		return -1;
	if (ask_open(link_state.broker, listener, interface, grant, &page)) {
		link_close();
		return -1;
	}
	take_page(page);
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
	if (link_state.page)
		munmap(link_state.page, ENDPOINT_PAGE_SIZE);
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
	struct pollfd look = { link_state.broker, 0, 0 };

	return !REAL(poll)(&look, 1, 0);
}

static bool join(void)
{
	int broker = files_hide(ask_connect()), page;

	if (broker < 0)
		return false;
	if (ask_join(broker, link_state.xsk, link_state.interface, link_state.queue, &page)) {
		files_unhide(broker);
		return false;
	}
	take_page(page);
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
