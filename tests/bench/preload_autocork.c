/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The comparison partner of `make bench`: autocork as an LD_PRELOAD library, the way it is done without a kernel's
 * help.
 *
 * A socket on which the program sets TCP_NODELAY is corked at the first write after a read, and uncorked before the
 * program reads, polls, shuts down or closes. Two setsockopt() calls per burst; nothing else on the path of a write but
 * one table look-up.
 *
 *   LD_PRELOAD=build/tests/bench/preload_autocork.so PROGRAM
 *
 * With AUTOCORK_ALL in the environment it treats every TCP socket so, also those with Nagle's algorithm.
 */
#include <dlfcn.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define FILES 65536
#define CORKED_MAX 64

enum { PLAIN, NO_DELAY, CORKED, OTHER /* no TCP socket */ };

/* State per descriptor; and the corked ones of this thread, because a wait ends the bursts of all of them. */
static _Atomic uint8_t state[FILES];
static __thread int corked[CORKED_MAX];
static __thread int corked_count;
static int all;

static int (*real_setsockopt)(int, int, int, const void *, socklen_t);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_writev)(int, const struct iovec *, int);
static ssize_t (*real_send)(int, const void *, size_t, int);
static ssize_t (*real_sendto)(int, const void *, size_t, int, const struct sockaddr *, socklen_t);
static ssize_t (*real_sendmsg)(int, const struct msghdr *, int);
static ssize_t (*real_sendfile)(int, int, off_t *, size_t);
static ssize_t (*real_read)(int, void *, size_t);
static ssize_t (*real_readv)(int, const struct iovec *, int);
static ssize_t (*real_recv)(int, void *, size_t, int);
static ssize_t (*real_recvfrom)(int, void *, size_t, int, struct sockaddr *, socklen_t *);
static ssize_t (*real_recvmsg)(int, struct msghdr *, int);
static int (*real_poll)(struct pollfd *, nfds_t, int);
static int (*real_ppoll)(struct pollfd *, nfds_t, const struct timespec *, const sigset_t *);
static int (*real_select)(int, fd_set *, fd_set *, fd_set *, struct timeval *);
static int (*real_epoll_wait)(int, struct epoll_event *, int, int);
static int (*real_epoll_pwait)(int, struct epoll_event *, int, int, const sigset_t *);
static int (*real_shutdown)(int, int);
static int (*real_close)(int);

static void preload_start(void)
{
	/* Through memory: ISO C has no conversion from an object pointer to a function's. */
#define REAL(name) \
	do { \
		void *symbol = dlsym(RTLD_NEXT, #name); \
		memcpy(&real_##name, &symbol, sizeof(real_##name)); \
	} while (0)
	REAL(setsockopt);
	REAL(write);
	REAL(writev);
	REAL(send);
	REAL(sendto);
	REAL(sendmsg);
	REAL(sendfile);
	REAL(read);
	REAL(readv);
	REAL(recv);
	REAL(recvfrom);
	REAL(recvmsg);
	REAL(poll);
	REAL(ppoll);
	REAL(select);
	REAL(epoll_wait);
	REAL(epoll_pwait);
	REAL(shutdown);
	REAL(close);
#undef REAL
	all = getenv("AUTOCORK_ALL") != NULL;
}

/* Not a constructor: those of other libraries may run first, and call what is wrapped here. */
#define START() \
	do { \
		if (__builtin_expect(!real_close, 0)) \
			preload_start(); \
	} while (0)

static inline uint8_t state_of(int fd)
{
	return (unsigned int)fd < FILES ? atomic_load_explicit(&state[fd], memory_order_relaxed) : PLAIN;
}

static inline void set_state(int fd, uint8_t value)
{
	atomic_store_explicit(&state[fd], value, memory_order_relaxed);
}

static int set_cork(int fd, int on)
{
	return real_setsockopt(fd, IPPROTO_TCP, TCP_CORK, &on, sizeof(on));
}

/* Before a write. */
static inline void writing(int fd)
{
	uint8_t now = state_of(fd);

	if (!(now == NO_DELAY || (now == PLAIN && all)) || corked_count == CORKED_MAX)
		return;
	if (set_cork(fd, 1)) {
		set_state(fd, OTHER);
		return;
	}
	set_state(fd, CORKED);
	corked[corked_count++] = fd;
}

/* Before a read, or whatever ends the burst of one socket. */
static inline void ending(int fd)
{
	if (state_of(fd) != CORKED)
		return;
	set_cork(fd, 0);
	set_state(fd, NO_DELAY);
	for (int i = 0; i < corked_count; i++)
		if (corked[i] == fd) {
			corked[i] = corked[--corked_count];
			break;
		}
}

/* Before a wait. */
static inline void ending_all(void)
{
	while (corked_count)
		ending(corked[corked_count - 1]);
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t size)
{
	START();
	if (level == IPPROTO_TCP && name == TCP_NODELAY && size >= sizeof(int) && (unsigned int)fd < FILES) {
		int on;

		memcpy(&on, value, sizeof(on));
		ending(fd);
		set_state(fd, on ? NO_DELAY : PLAIN);
	}
	return real_setsockopt(fd, level, name, value, size);
}

ssize_t write(int fd, const void *bytes, size_t size)
{
	START();
	writing(fd);
	return real_write(fd, bytes, size);
}

ssize_t writev(int fd, const struct iovec *list, int count)
{
	START();
	writing(fd);
	return real_writev(fd, list, count);
}

ssize_t send(int fd, const void *bytes, size_t size, int flags)
{
	START();
	writing(fd);
	return real_send(fd, bytes, size, flags);
}

ssize_t sendto(int fd, const void *bytes, size_t size, int flags, const struct sockaddr *to, socklen_t to_size)
{
	START();
	writing(fd);
	return real_sendto(fd, bytes, size, flags, to, to_size);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	START();
	writing(fd);
	return real_sendmsg(fd, message, flags);
}

ssize_t sendfile(int fd, int from, off_t *offset, size_t size)
{
	START();
	writing(fd);
	return real_sendfile(fd, from, offset, size);
}

ssize_t read(int fd, void *bytes, size_t size)
{
	START();
	ending(fd);
	return real_read(fd, bytes, size);
}

ssize_t readv(int fd, const struct iovec *list, int count)
{
	START();
	ending(fd);
	return real_readv(fd, list, count);
}

ssize_t recv(int fd, void *bytes, size_t size, int flags)
{
	START();
	ending(fd);
	return real_recv(fd, bytes, size, flags);
}

ssize_t recvfrom(int fd, void *restrict bytes, size_t size, int flags, struct sockaddr *restrict from,
		 socklen_t *restrict from_size)
{
	START();
	ending(fd);
	return real_recvfrom(fd, bytes, size, flags, from, from_size);
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	START();
	ending(fd);
	return real_recvmsg(fd, message, flags);
}

int poll(struct pollfd *list, nfds_t count, int timeout)
{
	START();
	ending_all();
	return real_poll(list, count, timeout);
}

int ppoll(struct pollfd *list, nfds_t count, const struct timespec *timeout, const sigset_t *mask)
{
	START();
	ending_all();
	return real_ppoll(list, count, timeout, mask);
}

int select(int count, fd_set *restrict in, fd_set *restrict out, fd_set *restrict except,
	   struct timeval *restrict timeout)
{
	START();
	ending_all();
	return real_select(count, in, out, except, timeout);
}

int epoll_wait(int epoll, struct epoll_event *events, int count, int timeout)
{
	START();
	ending_all();
	return real_epoll_wait(epoll, events, count, timeout);
}

int epoll_pwait(int epoll, struct epoll_event *events, int count, int timeout, const sigset_t *mask)
{
	START();
	ending_all();
	return real_epoll_pwait(epoll, events, count, timeout, mask);
}

int shutdown(int fd, int how)
{
	START();
	ending(fd);
	return real_shutdown(fd, how);
}

int close(int fd)
{
	START();
	ending(fd);
	if ((unsigned int)fd < FILES)
		set_state(fd, PLAIN);
	return real_close(fd);
}
