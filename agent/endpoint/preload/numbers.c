/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * syscall(): the calls that are in front of the C library's, by number. Programs close by number where close() is a
 * place at which a thread can be cancelled (libuv).
 */
#ifdef __x86_64__
#include <errno.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "endpoint/preload/descriptors.h"
#include "endpoint/preload/instance.h"
#include "endpoint/preload/real.h"

/* As the C library's, in one instruction: what goes by it must not come back here. */
static long call(long number, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	if (result >= -4095 && result < 0) {
		errno = -result;
		return -1;
	}
	return result;
}

/* Of a descriptor of ours. False: there is no such call here. */
static bool call_ours(long number, long a, long b, long c, long d, long e, long f, long *result)
{
	switch (number) {
#define CALL(name, ...) \
	case SYS_##name: \
		*result = name(__VA_ARGS__); \
		return true;
		/* clang-format off */
	CALL(close, a)
	CALL(read, a, (void *)b, c)
	CALL(write, a, (void *)b, c)
	CALL(readv, a, (void *)b, c)
	CALL(writev, a, (void *)b, c)
	CALL(recvfrom, a, (void *)b, c, d, (void *)e, (void *)f)
	CALL(sendto, a, (void *)b, c, d, (void *)e, f)
	CALL(recvmsg, a, (void *)b, c)
	CALL(sendmsg, a, (void *)b, c)
	CALL(recvmmsg, a, (void *)b, c, d, (void *)e)
	CALL(sendmmsg, a, (void *)b, c, d)
	CALL(sendfile, a, b, (void *)c, d)
	CALL(accept, a, (void *)b, (void *)c)
	CALL(accept4, a, (void *)b, (void *)c, d)
	CALL(listen, a, b)
	CALL(shutdown, a, b)
	CALL(getsockname, a, (void *)b, (void *)c)
	CALL(getpeername, a, (void *)b, (void *)c)
	CALL(getsockopt, a, b, c, (void *)d, (void *)e)
	CALL(setsockopt, a, b, c, (void *)d, e)
	CALL(dup, a)
	CALL(dup2, a, b)
	CALL(dup3, a, b, c)
	CALL(fcntl, a, b, c)
	CALL(ioctl, a, b, c)
	CALL(epoll_wait, a, (void *)b, c, d)
	CALL(epoll_ctl, a, b, c, (void *)d)
		/* clang-format on */
#undef CALL
	case SYS_epoll_pwait: /* the last argument is the size of the mask */
		*result = epoll_pwait(a, (void *)b, c, d, (void *)e);
		return true;
	}
	return false;
}

/*
 * io_uring works on the kernel's files behind this library's back: a program that asks learns that it is not there, and
 * has another way. Without any listener of ours it has it.
 */
SHIM long syscall(long number, ...)
{
	va_list arguments;
	long a, b, c, d, e, f, fd, result;

	va_start(arguments, number);
	a = va_arg(arguments, long);
	b = va_arg(arguments, long);
	c = va_arg(arguments, long);
	d = va_arg(arguments, long);
	e = va_arg(arguments, long);
	f = va_arg(arguments, long);
	va_end(arguments);
	if (number == SYS_io_uring_setup && instance_exists()) {
		errno = ENOSYS;
		return -1;
	}
	fd = number == SYS_epoll_ctl ? c : a;
	if (fd >= 0 && fd <= INT32_MAX && (files_find(fd) || files_is_hidden(fd)) &&
	    call_ours(number, a, b, c, d, e, f, &result))
		return result;
	return call(number, a, b, c, d, e, f);
}
#endif
