/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * epoll. A set of the program has two halves: the kernel's set of the same number holds the kernel's files, the list
 * here holds ours; a listener is in both. A wait looks at ours first and sleeps on the kernel's set and the ring
 * together.
 */
#include "endpoint/preload/epoll_set.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "endpoint/preload/instance.h"
#include "endpoint/preload/real.h"
#include "endpoint/preload/sockets.h"

#define SAFE_EVENTS (EPOLLERR | EPOLLHUP) /* always asked for */
#define EXCLUSIVE_EVENTS (EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE)
#define LOOK_AT_KERNEL 16 /* each so many busy waits, the kernel's half is looked at too */

/* ------------------------------------------------------------------ the lists */

static void push_ready(struct item *item)
{
	struct file *set = item->set;

	if (item->ready)
		return;
	item->ready = true;
	item->next_ready = NULL;
	item->previous_ready = set->last_ready;
	if (set->last_ready)
		set->last_ready->next_ready = item;
	else
		set->first_ready = item;
	set->last_ready = item;
	/* A set in a set. */
	if (set->items)
		events_happened(set, EPOLLIN | EPOLLRDNORM);
}

static void pull_ready(struct item *item)
{
	struct file *set = item->set;

	if (!item->ready)
		return;
	item->ready = false;
	*(item->previous_ready ? &item->previous_ready->next_ready : &set->first_ready) = item->next_ready;
	*(item->next_ready ? &item->next_ready->previous_ready : &set->last_ready) = item->previous_ready;
}

static struct item *find_item(struct file *set, struct file *file, int fd)
{
	for (struct item *item = file->items; item; item = item->next_of_file)
		if (item->set == set && item->fd == fd)
			return item;
	return NULL;
}

static void remove_item(struct item *item)
{
	struct item **at = &item->file->items;

	pull_ready(item);
	/* Other processes have it, too: closing it does not take it out of the set. */
	if (item->file->kind == FILE_LISTENER && item->file->spills)
		REAL(epoll_ctl)(item->set->fd, EPOLL_CTL_DEL, item->file->spill[0], NULL);
	while (*at != item)
		at = &(*at)->next_of_file;
	*at = item->next_of_file;
	*(item->previous_of_set ? &item->previous_of_set->next_of_set : &item->set->members) = item->next_of_set;
	if (item->next_of_set)
		item->next_of_set->previous_of_set = item->previous_of_set;
	free(item);
}

static struct item *add_item(struct file *set, struct file *file, int fd)
{
	struct item *item = calloc(1, sizeof(*item));

	if (!item)
		return NULL;
	*item = (struct item){
		.set = set, .file = file, .fd = fd, .next_of_file = file->items, .next_of_set = set->members
	};
	if (set->members)
		set->members->previous_of_set = item;
	file->items = item;
	set->members = item;
	return item;
}

void events_forget(struct file *file)
{
	while (file->items)
		remove_item(file->items);
	while (file->members)
		remove_item(file->members);
}

void events_happened(struct file *file, uint32_t events)
{
	for (struct item *item = file->items; item; item = item->next_of_file) {
		if (!(item->events & events))
			continue;
		/* A set that this set is in may have found nothing here since, and hears of it all the same. */
		if (item->ready)
			events_happened(item->set, EPOLLIN | EPOLLRDNORM);
		else
			push_ready(item);
	}
	instance_wake_others();
}

/* In the set as the listener itself: the program sees no difference. */
static void put_spill(int epfd, int op, struct file *listener, const struct epoll_event *event)
{
	struct epoll_event same = { event->events & ~(EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND), event->data };

	REAL(epoll_ctl)(epfd, op, listener->spill[0], &same);
}

void events_add_spill(struct file *listener)
{
	for (struct item *item = listener->items; item; item = item->next_of_file)
		put_spill(item->set->fd, EPOLL_CTL_ADD, listener, &(struct epoll_event){ item->events, item->data });
}

uint32_t events_level(struct file *file)
{
	if (file->kind == FILE_EPOLL) {
		for (struct item *item = file->first_ready; item; item = item->next_ready)
			if (events_level(item->file) & (item->events | SAFE_EVENTS))
				return EPOLLIN | EPOLLRDNORM;
		return 0;
	}
	if (file->socket)
		return engine_ready(file->socket);
	return file->kind == FILE_CONNECTION ? EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLOUT : 0;
}

/* ------------------------------------------------------------------ epoll_ctl */

static struct file *set_of(int fd)
{
	return files_find(fd) ?: files_new(fd, FILE_EPOLL, false);
}

/* Ours alone: the kernel's half knows nothing of it. */
static int change(struct file *set, struct file *file, int op, int fd, const struct epoll_event *event)
{
	struct item *item = find_item(set, file, fd);

	if (op != EPOLL_CTL_DEL && !event) {
		errno = EFAULT;
		return -1;
	}
	/* As the kernel: no change to an exclusive one, and few bits beside. */
	if (op != EPOLL_CTL_DEL && event->events & EPOLLEXCLUSIVE &&
	    (op == EPOLL_CTL_MOD || event->events & ~EXCLUSIVE_EVENTS)) {
		errno = EINVAL;
		return -1;
	}
	if (op == EPOLL_CTL_ADD && item) {
		errno = EEXIST;
		return -1;
	}
	if (op != EPOLL_CTL_ADD && !item) {
		errno = ENOENT;
		return -1;
	}
	if (op == EPOLL_CTL_DEL) {
		remove_item(item);
		return 0;
	}
	if (op == EPOLL_CTL_MOD && item->events & EPOLLEXCLUSIVE) {
		errno = EINVAL;
		return -1;
	}
	if (!item && !(item = add_item(set, file, fd)))
		return -1;
	item->events = event->events | SAFE_EVENTS;
	item->data = event->data;
	pull_ready(item);
	if (events_level(file) & item->events) {
		push_ready(item);
		instance_wake_others();
	}
	return 0;
}

/* By the table, without a system call, where it knows the number. */
static bool is_set(int epfd)
{
	const struct file *known = files_find(epfd);

	return known ? known->kind == FILE_EPOLL : sockets_is_epoll(epfd);
}

SHIM int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
	struct file *file = files_find(fd), *set;
	int result;

	if (!file && op == EPOLL_CTL_ADD)
		file = sockets_adopt(fd);
	if (!file && !(op == EPOLL_CTL_DEL && files_find(epfd)))
		return REAL(epoll_ctl)(epfd, op, fd, event);
	instance_lock();
	file = files_find(fd);
	if (!file) {
		instance_unlock();
		return REAL(epoll_ctl)(epfd, op, fd, event);
	}
	if (file->kind == FILE_CONNECTION) {
		if (!is_set(epfd) || (op != EPOLL_CTL_ADD && op != EPOLL_CTL_MOD && op != EPOLL_CTL_DEL)) {
			/* The kernel's own error: of the number, or of what it is. */
			instance_unlock();
			return REAL(epoll_ctl)(epfd, op, fd, event);
		}
		set = set_of(epfd);
		result = set ? change(set, file, op, fd, event) : -1;
	} else {
		/* In both halves: the kernel's word is the program's answer. */
		result = REAL(epoll_ctl)(epfd, op, fd, event);
		if (!result) {
			set = set_of(epfd);
			if (set && file->kind == FILE_LISTENER && op == EPOLL_CTL_ADD)
				instance_serve(fd, file);
			if (set)
				change(set, file, op, fd, event);
			if (set && file->kind == FILE_LISTENER && file->spills && op != EPOLL_CTL_DEL)
				put_spill(epfd, op, file, event);
		}
	}
	instance_unlock();
	return result;
}

/* ------------------------------------------------------------------ epoll_wait */

static void serve_listeners(struct file *set)
{
	for (struct item *item = set->members; item; item = item->next_of_set)
		if (item->file->kind == FILE_LISTENER)
			instance_serve(item->fd, item->file);
}

/* What is ready now. A level that stays is looked at again next time, after the others. */
static int collect(struct file *set, struct epoll_event *events, int max)
{
	struct item *last = set->last_ready, *item, *next;
	int count = 0;

	for (item = set->first_ready; item && count < max; item = next) {
		uint32_t level = events_level(item->file) & item->events & ~(EPOLLET | EPOLLONESHOT | EPOLLEXCLUSIVE);
		bool end = item == last;

		next = end ? NULL : item->next_ready;
		pull_ready(item);
		if (level) {
			events[count++] = (struct epoll_event){ level, item->data };
			if (item->events & EPOLLONESHOT)
				item->events = 0;
			else if (!(item->events & EPOLLET))
				push_ready(item);
		}
	}
	return count;
}

/* A listener may be ready in both halves: the program sees it once. */
static int add_kernel(struct file *set, int fd, struct epoll_event *events, int count, int max)
{
	int more, kept = count;

	if (count == max)
		return count;
	more = REAL(epoll_wait)(fd, events + count, max - count, 0);
	for (int i = count; i < count + more; i++) {
		bool twice = false;

		for (struct item *item = set->members; item && count && !twice; item = item->next_of_set) {
			if (item->file->kind == FILE_CONNECTION || item->data.u64 != events[i].data.u64)
				continue;
			for (int j = 0; j < count && !twice; j++)
				if (events[j].data.u64 == events[i].data.u64) {
					events[j].events |= events[i].events;
					twice = true;
				}
		}
		if (!twice)
			events[kept++] = events[i];
	}
	return more < 0 && !count ? more : kept;
}

static int wait_for(int epfd, struct file *set, struct epoll_event *events, int max, uint64_t deadline,
		    const sigset_t *mask)
{
	for (;;) {
		struct pollfd kernel = { epfd, POLLIN, 0 };
		int count, ready;

		instance_look();
		instance_move_away();
		count = collect(set, events, max);
		if (count && ++set->turn % LOOK_AT_KERNEL)
			return count;
		if (count || deadline <= instance_now()) {
			/* A wait of no time: both halves, once. */
			count = add_kernel(set, epfd, events, count, max);
			return count;
		}
		ready = instance_sleep(&kernel, 1, deadline, mask);
		if (ready < 0)
			return -1;
		count = collect(set, events, max);
		if (ready)
			count = add_kernel(set, epfd, events, count, max);
		if (count)
			return count;
	}
}

static int wait_in_kernel(int epfd, struct epoll_event *events, int max, uint64_t deadline, const sigset_t *mask)
{
	uint64_t now = instance_now();
	int timeout = -1;

	if (deadline != FOREVER) {
		now = deadline > now ? (deadline - now + 999999) / 1000000 : 0;
		timeout = now < INT_MAX ? now : INT_MAX;
	}
	return REAL(epoll_pwait)(epfd, events, max, timeout, mask);
}

static int wait_events(int epfd, struct epoll_event *events, int max, uint64_t deadline, const sigset_t *mask)
{
	struct file *set;
	int count;

	instance_lock();
	set = files_find(epfd);
	if (!set || set->kind != FILE_EPOLL) {
		instance_unlock();
		errno = EINVAL;
		return -1;
	}
	serve_listeners(set);
	if (!instance_exists()) {
		/* The kernel serves all of it: as without this library. */
		instance_unlock();
		return wait_in_kernel(epfd, events, max, deadline, mask);
	}
	set->refs++;
	count = wait_for(epfd, set, events, max, deadline, mask);
	files_release(set);
	instance_events(count > 0 ? count : 0);
	instance_unlock();
	return count;
}

static bool is_ours(int epfd, const struct epoll_event *events, int max)
{
	struct file *set = files_find(epfd);

	if (set && set->kind == FILE_EPOLL && set->members && events && max > 0 &&
	    max <= INT_MAX / (int)sizeof(*events))
		return true;
	instance_elsewhere();
	return false;
}

static uint64_t from_milliseconds(int timeout)
{
	return timeout < 0 ? FOREVER : timeout ? instance_now() + timeout * UINT64_C(1000000) : 0;
}

SHIM int epoll_wait(int epfd, struct epoll_event *events, int max, int timeout)
{
	if (!is_ours(epfd, events, max))
		return REAL(epoll_wait)(epfd, events, max, timeout);
	return wait_events(epfd, events, max, from_milliseconds(timeout), NULL);
}

SHIM int epoll_pwait(int epfd, struct epoll_event *events, int max, int timeout, const sigset_t *mask)
{
	if (!is_ours(epfd, events, max))
		return REAL(epoll_pwait)(epfd, events, max, timeout, mask);
	return wait_events(epfd, events, max, from_milliseconds(timeout), mask);
}

SHIM int epoll_pwait2(int epfd, struct epoll_event *events, int max, const struct timespec *timeout,
		      const sigset_t *mask)
{
	if (!is_ours(epfd, events, max))
		return REAL(epoll_pwait2)(epfd, events, max, timeout, mask);
	return wait_events(epfd, events, max,
			   timeout ? instance_now() + timeout->tv_sec * UINT64_C(1000000000) + timeout->tv_nsec :
				     FOREVER,
			   mask);
}

/* ------------------------------------------------------------------ poll and select */

static uint32_t poll_level(struct file *file, short wanted)
{
	return events_level(file) & ((uint16_t)wanted | SAFE_EVENTS);
}

/*
 * EPOLLIN and its like have the values of POLLIN and its like. For the kernel: the same entries without what it does
 * not have, and behind them the listeners' spills, *used in all.
 */
static int poll_ours(struct pollfd *fds, nfds_t count, struct pollfd *kernel, nfds_t *used)
{
	int ready = 0;

	*used = count;

	for (nfds_t i = 0; i < count; i++) {
		struct file *file = fds[i].fd >= 0 ? files_find(fds[i].fd) : NULL;

		fds[i].revents = 0;
		kernel[i] = fds[i];
		if (!file)
			continue;
		if (file->kind == FILE_LISTENER)
			instance_serve(fds[i].fd, file);
		if (file->kind == FILE_LISTENER && file->spills)
			kernel[(*used)++] = (struct pollfd){ file->spill[0], fds[i].events & (POLLIN | POLLRDNORM), 0 };
		if (file->kind == FILE_CONNECTION)
			kernel[i].fd = -1;
		fds[i].revents = poll_level(file, fds[i].events);
		ready += fds[i].revents != 0;
	}
	return ready;
}

static int poll_for(struct pollfd *fds, nfds_t count, uint64_t deadline, const sigset_t *mask)
{
	struct pollfd *kernel = malloc(2 * count * sizeof(*kernel));
	int ready;

	if (!kernel)
		return -1;
	for (;;) {
		nfds_t used, spill = count;
		int others;

		instance_look();
		instance_move_away();
		ready = poll_ours(fds, count, kernel, &used);
		/* The kernel's are looked at in any case: poll() tells of all that is ready. */
		if (ready || deadline <= instance_now())
			others = REAL(poll)(kernel, used, 0);
		else
			others = instance_sleep(kernel, used, deadline, mask);
		if (others < 0) {
			ready = -1;
			break;
		}
		for (nfds_t i = 0; i < count; i++) {
			struct file *file = fds[i].fd >= 0 ? files_find(fds[i].fd) : NULL;

			fds[i].revents = kernel[i].revents;
			if (file)
				fds[i].revents |= poll_level(file, fds[i].events);
			if (file && file->kind == FILE_LISTENER && spill < used && kernel[spill].fd == file->spill[0])
				fds[i].revents |= kernel[spill++].revents;
		}
		ready = 0;
		for (nfds_t i = 0; i < count; i++)
			ready += fds[i].revents != 0;
		if (ready || deadline <= instance_now())
			break;
	}
	free(kernel);
	return ready;
}

static bool poll_is_ours(const struct pollfd *fds, nfds_t count)
{
	for (nfds_t i = 0; fds && i < count; i++)
		if (fds[i].fd >= 0 && files_find(fds[i].fd))
			return true;
	instance_elsewhere();
	return false;
}

static int poll_until(struct pollfd *fds, nfds_t count, uint64_t deadline, const sigset_t *mask)
{
	int ready;

	instance_lock();
	ready = poll_for(fds, count, deadline, mask);
	instance_events(ready > 0 ? ready : 0);
	instance_unlock();
	return ready;
}

SHIM int poll(struct pollfd *fds, nfds_t count, int timeout)
{
	if (!poll_is_ours(fds, count))
		return REAL(poll)(fds, count, timeout);
	return poll_until(fds, count, from_milliseconds(timeout), NULL);
}

SHIM int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask)
{
	if (!poll_is_ours(fds, count))
		return REAL(ppoll)(fds, count, timeout, mask);
	return poll_until(fds, count,
			  timeout ? instance_now() + timeout->tv_sec * UINT64_C(1000000000) + timeout->tv_nsec :
				    FOREVER,
			  mask);
}

SHIM int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t size)
{
	if (size / sizeof(*fds) < count)
		abort();
	return poll(fds, count, timeout);
}

SHIM int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask,
		     size_t size)
{
	if (size / sizeof(*fds) < count)
		abort();
	return ppoll(fds, count, timeout, mask);
}

/* FD_ISSET() of a fortified program refuses numbers from 1024 on; the sets may be larger all the same. */
static bool has(const fd_set *set, int fd)
{
	return set && ((const unsigned long *)set)[fd / (8 * sizeof(long))] & 1ul << fd % (8 * sizeof(long));
}

static void put(fd_set *set, int fd)
{
	((unsigned long *)set)[fd / (8 * sizeof(long))] |= 1ul << fd % (8 * sizeof(long));
}

static bool select_is_ours(int count, const fd_set *in, const fd_set *out, const fd_set *except)
{
	if (!files_count[FILE_LISTENER] && !files_count[FILE_CONNECTION])
		return false;
	for (int fd = files_next(0); fd >= 0 && fd < count; fd = files_next(fd + 1))
		if (has(in, fd) || has(out, fd) || has(except, fd))
			return true;
	instance_elsewhere();
	return false;
}

#define SELECT_IN (POLLIN | POLLRDNORM | POLLRDBAND | POLLHUP | POLLERR)
#define SELECT_OUT (POLLOUT | POLLWRNORM | POLLWRBAND | POLLERR)

static int select_until(int count, fd_set *in, fd_set *out, fd_set *except, uint64_t deadline, const sigset_t *mask)
{
	size_t words = (count + 8 * sizeof(long) - 1) / (8 * sizeof(long)) * sizeof(long);
	struct pollfd *fds = calloc(count, sizeof(*fds));
	int used = 0, ready, bits = 0;

	if (!fds)
		return -1;
	for (int fd = 0; fd < count; fd++) {
		short events =
			(has(in, fd) ? POLLIN : 0) | (has(out, fd) ? POLLOUT : 0) | (has(except, fd) ? POLLPRI : 0);

		if (events)
			fds[used++] = (struct pollfd){ fd, events, 0 };
	}
	ready = poll_until(fds, used, deadline, mask);
	for (int i = 0; ready > 0 && i < used; i++) {
		if (fds[i].revents & POLLNVAL) {
			errno = EBADF;
			ready = -1;
		}
	}
	if (ready >= 0) {
		fd_set *sets[] = { in, out, except };
		static const short events[] = { POLLIN, POLLOUT, POLLPRI };
		static const short answers[] = { SELECT_IN, SELECT_OUT, POLLPRI };

		for (int s = 0; s < 3; s++) {
			if (sets[s])
				memset(sets[s], 0, words);
			for (int i = 0; i < used; i++)
				if (fds[i].events & events[s] && fds[i].revents & answers[s]) {
					put(sets[s], fds[i].fd);
					bits++;
				}
		}
		ready = bits;
	}
	free(fds);
	return ready;
}

SHIM int select(int count, fd_set *in, fd_set *out, fd_set *except, struct timeval *timeout)
{
	uint64_t now, deadline = FOREVER;
	int ready;

	if (!select_is_ours(count, in, out, except))
		return REAL(select)(count, in, out, except, timeout);
	if (timeout)
		deadline = instance_now() + timeout->tv_sec * UINT64_C(1000000000) + timeout->tv_usec * UINT64_C(1000);
	ready = select_until(count, in, out, except, deadline, NULL);
	/* Linux tells what is left. */
	if (timeout) {
		now = instance_now();
		deadline = deadline > now ? (deadline - now) / 1000 : 0;
		*timeout = (struct timeval){ deadline / 1000000, deadline % 1000000 };
	}
	return ready;
}

SHIM int pselect(int count, fd_set *in, fd_set *out, fd_set *except, const struct timespec *timeout,
		 const sigset_t *mask)
{
	if (!select_is_ours(count, in, out, except))
		return REAL(pselect)(count, in, out, except, timeout, mask);
	return select_until(count, in, out, except,
			    timeout ? instance_now() + timeout->tv_sec * UINT64_C(1000000000) + timeout->tv_nsec :
				      FOREVER,
			    mask);
}
