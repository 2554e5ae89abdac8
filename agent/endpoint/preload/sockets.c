/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "endpoint/preload/sockets.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <linux/sockios.h>

#include "endpoint/preload/instance.h"
#include "endpoint/preload/real.h"
#include "endpoint/preload/signals.h"
#include "endpoint/preload/spill.h"

#define SECOND UINT64_C(1000000000)
#define LOOK_AT_KERNEL 16 /* each so many accepted, the kernel's are looked at first */

/* What a connection's number is to the kernel: a TCP socket that was never connected. */
static int placeholder(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = files_hide(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
	else if (!files_is_hidden(fd)) /* after a fork */
		fd = files_hide(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
	return fd;
}

bool sockets_is_epoll(int fd)
{
	struct epoll_event event = { 0 };

	/* EINVAL for what is no set; for one, that the socket is not in it. */
	return REAL(epoll_ctl)(fd, EPOLL_CTL_MOD, placeholder(), &event) && errno == ENOENT;
}

static int number(int fd, int level, int name)
{
	int value = -1;
	socklen_t size = sizeof(value);

	return REAL(getsockopt)(fd, level, name, &value, &size) ? -1 : value;
}

/* ns; 0: none */
static uint64_t timeout_in_kernel(int fd, int name)
{
	struct timeval timeout = { 0 };
	socklen_t size = sizeof(timeout);

	if (REAL(getsockopt)(fd, SOL_SOCKET, name, &timeout, &size))
		return 0;
	return timeout.tv_sec * SECOND + timeout.tv_usec * UINT64_C(1000);
}

/* What its connections inherit. */
static void note_timeouts(struct file *listener, int fd)
{
	listener->receive_timeout = timeout_in_kernel(fd, SO_RCVTIMEO);
	listener->send_timeout = timeout_in_kernel(fd, SO_SNDTIMEO);
}

static struct file *add_listener(int fd, int backlog)
{
	union engine_address local = { 0 };
	socklen_t size = sizeof(local);
	struct file *file;

	if (REAL(getsockname)(fd, &local.sa, &size) ||
	    (local.sa.sa_family != AF_INET && local.sa.sa_family != AF_INET6) ||
	    number(fd, SOL_SOCKET, SO_PROTOCOL) != IPPROTO_TCP)
		return NULL;
	file = files_new(fd, FILE_LISTENER, REAL(fcntl)(fd, F_GETFD) & FD_CLOEXEC);
	if (!file)
		return NULL;
	file->domain = local.sa.sa_family;
	file->local = local;
	file->backlog = backlog;
	file->v6only = local.sa.sa_family == AF_INET6 && number(fd, IPPROTO_IPV6, IPV6_V6ONLY) == 1;
	note_timeouts(file, fd);
	spill_adopt(file, fd);
	return file;
}

struct file *sockets_adopt(int fd)
{
	struct file *file = NULL;
	int kept = errno, listens = number(fd, SOL_SOCKET, SO_ACCEPTCONN);

	if (listens == 1 || (listens < 0 && errno == ENOTSOCK && sockets_is_epoll(fd))) {
		instance_lock();
		file = files_find(fd);
		if (!file)
			file = listens == 1 ? add_listener(fd, SOMAXCONN) : files_new(fd, FILE_EPOLL, false);
		instance_unlock();
	}
	errno = kept;
	return file;
}

SHIM int listen(int fd, int backlog)
{
	int result = REAL(listen)(fd, backlog);
	struct file *file;

	if (result)
		return result;
	instance_lock();
	file = files_find(fd);
	if (!file)
		add_listener(fd, backlog);
	else if (file->kind == FILE_LISTENER && file->socket)
		engine_backlog(file->socket, backlog);
	instance_unlock();
	return 0;
}

/* An IPv4 address on an IPv6 socket is a mapped one. */
static void give_address(const union engine_address *address, int domain, struct sockaddr *out, socklen_t *size)
{
	union engine_address shown = *address;
	socklen_t whole = domain == AF_INET6 ? sizeof(shown.in6) : sizeof(shown.in);

	if (domain == AF_INET6 && address->sa.sa_family == AF_INET) {
		memset(&shown, 0, sizeof(shown));
		shown.in6.sin6_family = AF_INET6;
		shown.in6.sin6_port = address->in.sin_port;
		shown.in6.sin6_addr.s6_addr16[5] = 0xffff;
		memcpy(&shown.in6.sin6_addr.s6_addr32[3], &address->in.sin_addr, 4);
	}
	if (!out || !size)
		return;
	memcpy(out, &shown, *size < whole ? *size : whole);
	*size = whole;
}

/* ------------------------------------------------------------------ accept */

static struct file *add_connection(const struct file *listener, int fd, int flags)
{
	struct file *file = files_new(fd, FILE_CONNECTION, flags & SOCK_CLOEXEC);

	if (!file)
		return NULL;
	file->domain = listener->domain;
	file->nonblocking = flags & SOCK_NONBLOCK;
	file->receive_timeout = listener->receive_timeout;
	file->send_timeout = listener->send_timeout;
	return file;
}

/* The next connection's number; -1 with errno; -2: there is none. Without a number left the connection waits on. */
static int take(struct file *listener, struct sockaddr *address, socklen_t *size, int flags)
{
	union engine_address peer;
	struct file *file;
	int fd;

	if (!listener->socket || !engine_ready(listener->socket))
		return -2;
	fd = REAL(fcntl)(placeholder(), F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	file = add_connection(listener, fd, flags);
	if (!file) {
		int error = errno;

		REAL(close)(fd);
		errno = error;
		return -1;
	}
	file->socket = engine_accept(listener->socket);
	engine_set_tag(file->socket, file);
	engine_peer(file->socket, &peer);
	give_address(&peer, listener->domain, address, size);
	return fd;
}

static uint64_t accept_deadline(int fd)
{
	uint64_t timeout = timeout_in_kernel(fd, SO_RCVTIMEO);

	return timeout ? instance_now() + timeout : FOREVER;
}

static bool waits(int fd)
{
	return !(REAL(fcntl)(fd, F_GETFL) & O_NONBLOCK);
}

/* With the lock, which it gives up: what another process has left in the spill, then the kernel's. */
static int accept_from_kernel(int fd, int spill, struct sockaddr *address, socklen_t *size, int flags)
{
	struct pollfd wait[] = { { fd, POLLIN, 0 }, { spill, POLLIN, 0 } };
	uint64_t deadline = FOREVER;
	int got = spill < 0 ? -1 : spill_take(spill, flags);

	if (got < 0 && spill >= 0 && waits(fd)) {
		deadline = accept_deadline(fd);
		while (instance_sleep(wait, 2, deadline, NULL) >= 0 || signals_restart(deadline)) {
			got = spill_take(spill, flags);
			if (got >= 0 || wait[0].revents || instance_now() >= deadline)
				break;
		}
	}
	instance_unlock();
	if (got < 0)
		return REAL(accept4)(fd, address, size, flags);
	if (address && size)
		REAL(getpeername)(got, address, size);
	return got;
}

static int accept_any(int fd, struct sockaddr *address, socklen_t *size, int flags)
{
	static unsigned turn;
	struct file *file = files_find(fd);
	uint64_t deadline;
	int result, got, spill;

	if (!file)
		file = sockets_adopt(fd);
	if (!file || file->kind != FILE_LISTENER || flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK))
		return REAL(accept4)(fd, address, size, flags);
	instance_lock();
	file = files_find(fd);
	if (file)
		instance_serve(fd, file);
	spill = file && file->spills ? file->spill[0] : -1;
	if (!file || !file->socket)
		return accept_from_kernel(fd, spill, address, size, flags);
	got = -2;
	if (++turn % LOOK_AT_KERNEL)
		got = take(file, address, size, flags);
	if (got == -2) {
		instance_poll();
		got = take(file, address, size, flags);
	}
	if (got != -2) {
		instance_unlock();
		return got;
	}
	if (!waits(fd))
		return accept_from_kernel(fd, spill, address, size, flags);
	deadline = accept_deadline(fd);
	for (;;) {
		struct pollfd wait[] = { { fd, POLLIN, 0 }, { spill, POLLIN, 0 } };

		result = instance_sleep(wait, 2, deadline, NULL);
		if (result < 0 && signals_restart(deadline))
			result = 0;
		if (result < 0 || files_find(fd) != file || !file->socket)
			break;
		got = take(file, address, size, flags);
		if (got != -2 || result)
			break;
		if (instance_now() >= deadline) {
			errno = EAGAIN;
			result = -1;
			break;
		}
	}
	/* Ready there, or no longer served here: what it had taken is in the spill. */
	if (got == -2 && files_find(fd) == file && (result > 0 || (!result && !file->socket))) {
		spill = file->spills ? file->spill[0] : -1;
		return accept_from_kernel(fd, spill, address, size, flags);
	}
	instance_unlock();
	if (got != -2)
		return got;
	return result < 0 ? -1 : REAL(accept4)(fd, address, size, flags);
}

SHIM int accept4(int fd, struct sockaddr *address, socklen_t *size, int flags)
{
	return accept_any(fd, address, size, flags);
}

SHIM int accept(int fd, struct sockaddr *address, socklen_t *size)
{
	return accept_any(fd, address, size, 0);
}

/* ------------------------------------------------------------------ of a connection */

/* The connection behind the number, with the lock; NULL, without it. */
static struct file *connection(int fd)
{
	struct file *file = files_find(fd);

	if (!file || file->kind != FILE_CONNECTION)
		return NULL;
	instance_lock();
	file = files_find(fd);
	if (file && file->kind == FILE_CONNECTION)
		return file;
	instance_unlock();
	return NULL;
}

SHIM int shutdown(int fd, int how)
{
	struct file *file = connection(fd);
	int result;

	if (!file) {
		file = files_find(fd);
		result = REAL(shutdown)(fd, how);
		if (!result && file && file->kind == FILE_LISTENER && how != SHUT_WR) {
			instance_lock();
			instance_stop_serving(file);
			instance_unlock();
		}
		return result;
	}
	result = how < SHUT_RD || how > SHUT_RDWR ? -EINVAL :
		 file->socket			  ? engine_shutdown(file->socket, how) :
						    -ENOTCONN;
	instance_written(file);
	instance_wake_others();
	instance_unlock();
	if (result >= 0)
		return 0;
	errno = -result;
	return -1;
}

static int name(int fd, struct sockaddr *address, socklen_t *size,
		void (*get)(const struct engine_socket *socket, union engine_address *address))
{
	struct file *file = connection(fd);
	union engine_address found;

	if (!file)
		return 1;
	if (!file->socket || (get == engine_peer && engine_state(file->socket) == TCP_CLOSE)) {
		instance_unlock();
		errno = ENOTCONN;
		return -1;
	}
	get(file->socket, &found);
	give_address(&found, file->domain, address, size);
	instance_unlock();
	return 0;
}

SHIM int getsockname(int fd, struct sockaddr *address, socklen_t *size)
{
	int result = name(fd, address, size, engine_local);

	return result > 0 ? REAL(getsockname)(fd, address, size) : result;
}

SHIM int getpeername(int fd, struct sockaddr *address, socklen_t *size)
{
	int result = name(fd, address, size, engine_peer);

	return result > 0 ? REAL(getpeername)(fd, address, size) : result;
}

SHIM int connect(int fd, const struct sockaddr *address, socklen_t size)
{
	struct file *file = connection(fd);

	if (!file) {
		instance_elsewhere();
		return REAL(connect)(fd, address, size);
	}
	instance_unlock();
	errno = EISCONN;
	return -1;
}

/* ------------------------------------------------------------------ options */

static uint64_t *timeout_of(struct file *file, int level, int option)
{
	if (level != SOL_SOCKET)
		return NULL;
	return option == SO_RCVTIMEO ? &file->receive_timeout : option == SO_SNDTIMEO ? &file->send_timeout : NULL;
}

/* What the socket is, and what was said of it before it was connected. */
static bool constant(const struct file *file, int option, int *value)
{
	switch (option) {
	case SO_TYPE:
		*value = SOCK_STREAM;
		return true;
	case SO_DOMAIN:
		*value = file->domain;
		return true;
	case SO_PROTOCOL:
		*value = IPPROTO_TCP;
		return true;
	case SO_ACCEPTCONN:
		*value = 0;
		return true;
	case SO_REUSEADDR:
		*value = 1;
		return true;
	}
	return false;
}

/* Reset, say: its options matter to nobody, and are no error to the kernel. */
static bool is_over(const struct file *file)
{
	return !file->socket || engine_state(file->socket) == TCP_CLOSE;
}

SHIM int getsockopt(int fd, int level, int option, void *value, socklen_t *size)
{
	struct file *file = connection(fd);
	uint64_t *timeout;
	int result, number;

	if (!file)
		return REAL(getsockopt)(fd, level, option, value, size);
	timeout = timeout_of(file, level, option);
	if (timeout && *size >= sizeof(struct timeval)) {
		struct timeval shown = { *timeout / SECOND, *timeout % SECOND / 1000 };

		memcpy(value, &shown, sizeof(shown));
		*size = sizeof(shown);
		result = 0;
	} else if (level == SOL_SOCKET && constant(file, option, &number)) {
		if (*size > sizeof(number))
			*size = sizeof(number);
		memcpy(value, &number, *size);
		result = 0;
	} else {
		result = file->socket ? engine_get_option(file->socket, level, option, value, size) : -ENOPROTOOPT;
		if (result == -EOPNOTSUPP && !instance_hand_over(file, ENDPOINT_FOR_OPTION)) {
			instance_unlock();
			return REAL(getsockopt)(fd, level, option, value, size);
		}
		if (result == -EOPNOTSUPP && is_over(file)) {
			memset(value, 0, *size);
			result = 0;
		}
	}
	instance_unlock();
	if (result >= 0)
		return 0;
	errno = -result;
	return -1;
}

SHIM int setsockopt(int fd, int level, int option, const void *value, socklen_t size)
{
	struct file *file = connection(fd);
	uint64_t *timeout;
	int result;

	if (!file) {
		result = REAL(setsockopt)(fd, level, option, value, size);
		file = files_find(fd);
		if (!result && file && file->kind == FILE_LISTENER) {
			instance_lock();
			note_timeouts(file, fd);
			if (file->socket)
				engine_set_option(file->socket, level, option, value, size);
			instance_unlock();
		}
		return result;
	}
	timeout = timeout_of(file, level, option);
	if (timeout && size >= sizeof(struct timeval)) {
		struct timeval given;

		memcpy(&given, value, sizeof(given));
		result = given.tv_usec < 0 || given.tv_usec >= 1000000 ? -EDOM : 0;
		if (!result)
			*timeout = given.tv_sec < 0 ? 0 : given.tv_sec * SECOND + given.tv_usec * UINT64_C(1000);
	} else if (level == SOL_SOCKET && option == SO_REUSEADDR) {
		result = 0;
	} else {
		result = file->socket ? engine_set_option(file->socket, level, option, value, size) : -EINVAL;
		instance_written(file);
		if (result == -EOPNOTSUPP && !instance_hand_over(file, ENDPOINT_FOR_OPTION)) {
			instance_unlock();
			return REAL(setsockopt)(fd, level, option, value, size);
		}
		if (result == -EOPNOTSUPP && is_over(file))
			result = 0;
	}
	instance_unlock();
	if (result >= 0)
		return 0;
	errno = -result;
	return -1;
}

/* ------------------------------------------------------------------ descriptors */

SHIM int close(int fd)
{
	struct file *file;
	int result;

	if (!files_find(fd)) {
		if (!files_is_hidden(fd))
			return REAL(close)(fd);
		errno = EBADF;
		return -1;
	}
	if (!instance_is_own_process())
		return REAL(close)(fd);
	instance_lock();
	file = files_remove(fd);
	result = REAL(close)(fd);
	if (file)
		instance_end(file);
	instance_unlock();
	return result;
}

static bool any_between(unsigned first, unsigned last)
{
	int fd = first > INT32_MAX ? -1 : files_next(first), own = first > INT32_MAX ? -1 : files_next_hidden(first);

	return (fd >= 0 && (unsigned)fd <= last) || (own >= 0 && (unsigned)own <= last);
}

SHIM int close_range(unsigned int first, unsigned int last, int flags)
{
	int hidden;

	if (first > last || !any_between(first, last) || !instance_is_own_process())
		return REAL(close_range)(first, last, flags);
	for (int fd = files_next(first); fd >= 0 && (unsigned)fd <= last; fd = files_next(fd + 1)) {
		if (flags & CLOSE_RANGE_CLOEXEC)
			files_set_cloexec(fd, true);
		else
			close(fd);
	}
	/* The library's own stay: the ranges between them are closed. */
	while ((hidden = files_next_hidden(first)) >= 0 && (unsigned)hidden <= last) {
		if ((unsigned)hidden > first && REAL(close_range)(first, hidden - 1, flags))
			return -1;
		first = hidden + 1;
	}
	return first <= last ? REAL(close_range)(first, last, flags) : 0;
}

SHIM void closefrom(int first)
{
	close_range(first < 0 ? 0 : first, ~0U, 0);
}

/* `copy` is now another number of what `fd` is. */
static int share(int fd, int copy, bool cloexec)
{
	struct file *file, *before;
	int error = errno;

	if (copy < 0 || (!files_find(fd) && !files_find(copy)) || !instance_is_own_process())
		return copy;
	instance_lock();
	before = files_remove(copy);
	file = files_find(fd);
	if (file)
		files_share(copy, file, cloexec);
	if (before)
		instance_end(before);
	instance_unlock();
	errno = error;
	return copy;
}

/* The placeholder of a connection is never inherited by another program. */
static bool is_connection(int fd)
{
	struct file *file = files_find(fd);

	return file && file->kind == FILE_CONNECTION;
}

SHIM int dup(int fd)
{
	return share(fd, is_connection(fd) ? REAL(fcntl)(fd, F_DUPFD_CLOEXEC, 0) : REAL(dup)(fd), false);
}

/* A number of the library's own is wanted: it is given up for another. Nobody knows of it but us. */
SHIM int dup2(int fd, int copy)
{
	if (fd == copy)
		return REAL(dup2)(fd, copy);
	if (files_is_hidden(copy)) {
		errno = EBUSY;
		return -1;
	}
	return share(fd, is_connection(fd) ? REAL(dup3)(fd, copy, O_CLOEXEC) : REAL(dup2)(fd, copy), false);
}

SHIM int dup3(int fd, int copy, int flags)
{
	if (fd != copy && files_is_hidden(copy)) {
		errno = EBUSY;
		return -1;
	}
	return share(fd, REAL(dup3)(fd, copy, is_connection(fd) && !(flags & ~O_CLOEXEC) ? O_CLOEXEC : flags),
		     flags & O_CLOEXEC);
}

static int control_connection(int fd, struct file *file, int command, long argument, bool *handed)
{
	switch (command) {
	case F_GETFD:
		return files_cloexec(fd) ? FD_CLOEXEC : 0;
	case F_SETFD:
		files_set_cloexec(fd, argument & FD_CLOEXEC);
		return 0;
	case F_GETFL:
		return O_RDWR | (file->nonblocking ? O_NONBLOCK : 0);
	case F_SETFL:
		if (!(argument & O_ASYNC)) {
			file->nonblocking = argument & O_NONBLOCK;
			return 0;
		}
		break;
	}
	*handed = !instance_hand_over(file, ENDPOINT_FOR_OPTION);
	return 0;
}

static int control(int fd, int command, long argument)
{
	struct file *file = files_find(fd);
	bool handed = false;
	int result;

	if (!file)
		return REAL(fcntl)(fd, command, argument);
	if (command == F_DUPFD || command == F_DUPFD_CLOEXEC)
		return share(fd, REAL(fcntl)(fd, file->kind == FILE_CONNECTION ? F_DUPFD_CLOEXEC : command, argument),
			     command == F_DUPFD_CLOEXEC);
	file = connection(fd);
	if (!file) {
		if (command == F_SETFD)
			files_set_cloexec(fd, argument & FD_CLOEXEC);
		return REAL(fcntl)(fd, command, argument);
	}
	result = control_connection(fd, file, command, argument, &handed);
	instance_unlock();
	return handed ? REAL(fcntl)(fd, command, argument) : result;
}

SHIM int fcntl(int fd, int command, ...)
{
	va_list arguments;
	long argument;

	va_start(arguments, command);
	argument = va_arg(arguments, long);
	va_end(arguments);
	return control(fd, command, argument);
}

SHIM int fcntl64(int fd, int command, ...)
{
	va_list arguments;
	long argument;

	va_start(arguments, command);
	argument = va_arg(arguments, long);
	va_end(arguments);
	return control(fd, command, argument);
}

SHIM int ioctl(int fd, unsigned long request, ...)
{
	struct file *file = connection(fd);
	va_list arguments;
	int *argument;

	va_start(arguments, request);
	argument = va_arg(arguments, int *);
	va_end(arguments);
	if (!file)
		return REAL(ioctl)(fd, request, argument);
	switch (request) {
	case FIONBIO:
		file->nonblocking = *argument;
		break;
	case FIONREAD:
		instance_poll();
		*argument = file->socket ? engine_unread(file->socket) : 0;
		break;
	case TIOCOUTQ:
		instance_poll();
		*argument = file->socket ? engine_unsent(file->socket) : 0;
		break;
	case SIOCATMARK:
		*argument = 0;
		break;
	case FIOCLEX:
	case FIONCLEX:
		files_set_cloexec(fd, request == FIOCLEX);
		break;
	default:
		instance_hand_over(file, ENDPOINT_FOR_OPTION);
		instance_unlock();
		return REAL(ioctl)(fd, request, argument);
	}
	instance_unlock();
	return 0;
}

SHIM int sockatmark(int fd)
{
	return is_connection(fd) ? 0 : REAL(sockatmark)(fd);
}
