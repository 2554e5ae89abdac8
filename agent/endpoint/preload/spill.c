/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "endpoint/preload/spill.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "endpoint/preload/epoll_set.h"
#include "endpoint/preload/real.h"

#define INHERITED_MAX 64

static struct {
	uint64_t cookie; /* of the listening socket: the same in all processes that share it */
	int ends[2];
} inherited[INHERITED_MAX];
static unsigned inherited_count;

static bool hide(int ends[2])
{
	bool good = true;

	for (int i = 0; i < 2; i++) {
		ends[i] = files_hide(ends[i]);
		good = good && files_is_hidden(ends[i]);
	}
	if (!good)
		for (int i = 0; i < 2; i++)
			files_unhide(ends[i]);
	return good;
}

static void begin(struct file *listener, const int ends[2])
{
	memcpy(listener->spill, ends, sizeof(listener->spill));
	listener->spills = true;
	events_add_spill(listener);
}

void spill_make(struct file *listener)
{
	int ends[2];

	if (!listener->spills && !socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) &&
	    hide(ends))
		begin(listener, ends);
}

void spill_drop(struct file *listener)
{
	if (!listener->spills)
		return;
	listener->spills = false;
	for (int i = 0; i < 2; i++)
		files_unhide(listener->spill[i]);
}

static struct file *next_listener(int *fd)
{
	for (*fd = files_next(*fd); *fd >= 0; *fd = files_next(*fd + 1))
		if (files_find(*fd)->kind == FILE_LISTENER)
			return files_find(*fd);
	return NULL;
}

void spill_make_all(void)
{
	struct file *listener;

	for (int fd = 0; files_count[FILE_LISTENER] && (listener = next_listener(&fd)); fd++)
		spill_make(listener);
}

bool spill_is(int number)
{
	struct file *listener;

	for (int fd = 0; (listener = next_listener(&fd)); fd++)
		if (listener->spills && (listener->spill[0] == number || listener->spill[1] == number))
			return true;
	return false;
}

int spill_out(const struct file *listener)
{
	int copy = -1;

	if (listener->spills)
		copy = files_hide(REAL(fcntl)(listener->spill[1], F_DUPFD_CLOEXEC, 0));
	return copy;
}

union control {
	char bytes[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

bool spill_give(int out, int sock)
{
	union control control = {
		.align = { .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int)) }
	};
	struct iovec byte = { "", 1 };
	struct msghdr message = {
		.msg_iov = &byte, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)
	};

	memcpy(CMSG_DATA(&control.align), &sock, sizeof(sock));
	return REAL(sendmsg)(out, &message, MSG_NOSIGNAL) == 1;
}

int spill_take(int in, int flags)
{
	union control control;
	char nothing;
	struct iovec byte = { &nothing, 1 };
	struct msghdr message = {
		.msg_iov = &byte, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)
	};
	struct cmsghdr *part;
	int sock;

	if (REAL(recvmsg)(in, &message, MSG_DONTWAIT | (flags & SOCK_CLOEXEC ? MSG_CMSG_CLOEXEC : 0)) != 1)
		return -1;
	part = CMSG_FIRSTHDR(&message);
	if (!part || part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
		return -1;
	memcpy(&sock, CMSG_DATA(part), sizeof(sock));
	REAL(fcntl)(sock, F_SETFL, flags & SOCK_NONBLOCK ? O_RDWR | O_NONBLOCK : O_RDWR);
	return sock;
}

/* ------------------------------------------------------------------ exec */

#define ENTRY "AUTOCORK_ENDPOINT_SPILL="

static bool cookie_of(int fd, uint64_t *cookie)
{
	socklen_t size = sizeof(*cookie);

	return !REAL(getsockopt)(fd, SOL_SOCKET, SO_COOKIE, cookie, &size);
}

static void set_cloexec(const int ends[2], int flag)
{
	for (int i = 0; i < 2; i++)
		REAL(fcntl)(ends[i], F_SETFD, flag);
}

bool spill_before_exec(char *entry, size_t size)
{
	size_t used = strlen(ENTRY);
	struct file *listener;
	uint64_t cookie;

	strcpy(entry, ENTRY);
	for (int fd = 0; files_count[FILE_LISTENER] && (listener = next_listener(&fd)); fd++) {
		/* Room for a whole entry. */
		if (files_cloexec(fd) || used + 48 > size || !cookie_of(fd, &cookie))
			continue;
		spill_make(listener);
		if (!listener->spills)
			continue;
		used += snprintf(entry + used, size - used, "%" PRIx64 ":%d:%d,", cookie, listener->spill[0],
				 listener->spill[1]);
		set_cloexec(listener->spill, 0);
	}
	return used > strlen(ENTRY);
}

void spill_exec_failed(void)
{
	struct file *listener;

	for (int fd = 0; files_count[FILE_LISTENER] && (listener = next_listener(&fd)); fd++)
		if (listener->spills)
			set_cloexec(listener->spill, FD_CLOEXEC);
}

/* What the environment says is looked at: anybody may have written it. */
static bool is_end(int fd)
{
	int domain = -1, type = -1;
	socklen_t size = sizeof(domain);

	return !REAL(getsockopt)(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) &&
	       !REAL(getsockopt)(fd, SOL_SOCKET, SO_TYPE, &type, &size) && domain == AF_UNIX && type == SOCK_SEQPACKET;
}

void spill_inherit(void)
{
	char name[sizeof(ENTRY)] = ENTRY, *at;
	uint64_t cookie;
	int ends[2], length;

	name[sizeof(ENTRY) - 2] = 0;
	at = getenv(name);
	while (at && inherited_count < INHERITED_MAX &&
	       sscanf(at, "%" SCNx64 ":%d:%d,%n", &cookie, &ends[0], &ends[1], &length) == 3) {
		at += length;
		if (!is_end(ends[0]) || !is_end(ends[1]) || !hide(ends))
			continue;
		inherited[inherited_count].cookie = cookie;
		memcpy(inherited[inherited_count++].ends, ends, sizeof(ends));
	}
	unsetenv(name);
}

void spill_adopt(struct file *listener, int fd)
{
	uint64_t cookie;

	if (listener->spills || !inherited_count || !cookie_of(fd, &cookie))
		return;
	for (unsigned i = 0; i < inherited_count; i++) {
		if (inherited[i].cookie != cookie)
			continue;
		begin(listener, inherited[i].ends);
		inherited[i] = inherited[--inherited_count];
		return;
	}
}
