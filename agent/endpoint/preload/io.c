/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Reading and writing, in all the ways that the C library has. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "endpoint/preload/instance.h"
#include "endpoint/preload/real.h"
#include "endpoint/preload/signals.h"

#define SECOND UINT64_C(1000000000)
#define BULK (512u << 10) /* so much not acknowledged: the kernel, with segmentation offload, is faster */
#define CHUNK 65536	  /* of what is copied from a file or a pipe */

static bool is_connection(int fd)
{
	struct file *file = files_find(fd);

	return file && file->kind == FILE_CONNECTION;
}

/* The connection, with the lock and held; NULL, without it. */
static struct file *hold(int fd)
{
	struct file *file;

	if (!is_connection(fd)) {
		instance_elsewhere();
		return NULL;
	}
	instance_lock();
	file = files_find(fd);
	if (file && file->kind == FILE_CONNECTION) {
		file->refs++;
		return file;
	}
	instance_unlock();
	return NULL;
}

static void let_go(struct file *file)
{
	files_release(file);
	instance_unlock();
}

#define IN_KERNEL (-1000000) /* meanwhile it was handed over */

static size_t bytes_of(const struct iovec *iov, int count)
{
	size_t sum = 0;

	for (int i = 0; i < count; i++)
		sum += iov[i].iov_len;
	return sum;
}

/* Of many pieces, those from `done` bytes on; the first ones, at most 64. */
static int rest_of(const struct iovec *iov, int count, size_t done, struct iovec rest[64])
{
	int used = 0;

	for (int i = 0; i < count && used < 64; i++) {
		if (done >= iov[i].iov_len) {
			done -= iov[i].iov_len;
			continue;
		}
		rest[used].iov_base = (char *)iov[i].iov_base + done;
		rest[used++].iov_len = iov[i].iov_len - done;
		done = 0;
	}
	return used;
}

static uint64_t deadline_of(uint64_t timeout)
{
	return timeout ? instance_now() + timeout : FOREVER;
}

/* Bytes, or a negative errno. */
static ssize_t receive(int fd, struct file *file, const struct iovec *iov, int count, int flags)
{
	bool waits = !file->nonblocking && !(flags & MSG_DONTWAIT);
	uint64_t deadline = waits ? deadline_of(file->receive_timeout) : 0;
	size_t wanted = bytes_of(iov, count), done = 0;
	struct iovec rest[64];
	bool polled = false;

	if (flags & MSG_OOB)
		return -EINVAL;
	if (flags & MSG_ERRQUEUE)
		return -EAGAIN;
	for (;;) {
		ssize_t n;

		if (!file->socket)
			return files_find(fd) == file ? -ECONNRESET : IN_KERNEL;
		n = engine_read(file->socket, rest, rest_of(iov, count, done, rest), flags & (MSG_PEEK | MSG_TRUNC));
		/* Reset after its FIN: the end of the stream is what a reader sees. */
		if (n == -EPIPE)
			n = 0;
		if (n > 0)
			done += n;
		/* The window that this opens is told. */
		if (n > 0 && (!waits || !(flags & MSG_WAITALL) || flags & MSG_PEEK || done >= wanted))
			return done;
		if (n > 0 && !(flags & MSG_WAITALL))
			return done;
		if (n == 0 || (n < 0 && n != -EAGAIN))
			return done ? (ssize_t)done : n;
		if (n > 0)
			continue;
		if (!polled) {
			polled = true;
			instance_poll();
			continue;
		}
		if (done && !(flags & MSG_WAITALL))
			return done;
		if (!waits)
			return done ? (ssize_t)done : -EAGAIN;
		if (instance_now() >= deadline)
			return done ? (ssize_t)done : -EAGAIN;
		if (instance_sleep(NULL, 0, deadline, NULL) < 0 && (done || !signals_restart(deadline)))
			return done ? (ssize_t)done : -errno;
	}
}

static ssize_t transmit(int fd, struct file *file, const struct iovec *iov, int count, int flags)
{
	bool waits = !file->nonblocking && !(flags & MSG_DONTWAIT);
	uint64_t deadline = waits ? deadline_of(file->send_timeout) : 0;
	size_t wanted = bytes_of(iov, count), done = 0;
	struct iovec rest[64];
	bool polled = false;

	if (file->socket && engine_unsent(file->socket) >= BULK && !instance_hand_over(file, ENDPOINT_FOR_BULK))
		return IN_KERNEL;
	if (flags & MSG_OOB) {
		/* The stack has no urgent data. */
		return instance_hand_over(file, ENDPOINT_FOR_URGENT) ? -EOPNOTSUPP : IN_KERNEL;
	}
	for (;;) {
		ssize_t n;

		if (!file->socket)
			return files_find(fd) == file ? (done ? (ssize_t)done : -ECONNRESET) : IN_KERNEL;
		n = engine_write(file->socket, rest, rest_of(iov, count, done, rest), flags & MSG_MORE);
		if (n >= 0)
			done += n;
		/* Of no bytes, too, an error is told. */
		if (n >= 0 && done >= wanted)
			break;
		if (n > 0)
			continue;
		if (n < 0 && n != -EAGAIN)
			return done ? (ssize_t)done : n;
		if (!polled) {
			polled = true;
			instance_poll();
			continue;
		}
		if (!waits)
			break;
		if (instance_now() >= deadline)
			break;
		if (instance_sleep(NULL, 0, deadline, NULL) < 0 && (done || !signals_restart(deadline)))
			return done ? (ssize_t)done : -errno;
	}
	instance_written(file);
	return done || !wanted ? (ssize_t)done : -EAGAIN;
}

static ssize_t result_of(ssize_t n, bool pipe_signal)
{
	if (n >= 0)
		return n;
	if (n == -EPIPE && pipe_signal)
		raise(SIGPIPE);
	errno = -n;
	return -1;
}

/* Beside MSG_: read(), not recv(), which waits for a first byte even where none is asked for. */
#define AS_FILE (1 << 28)

static ssize_t read_ours(int fd, struct file *file, const struct iovec *iov, int count, int flags)
{
	bool nothing = flags & AS_FILE && !bytes_of(iov, count);
	ssize_t n;

	flags &= ~AS_FILE;
	n = nothing ? 0 : receive(fd, file, iov, count, flags);

	let_go(file);
	if (n == IN_KERNEL)
		return REAL(recvmsg)(fd, &(struct msghdr){ .msg_iov = (void *)iov, .msg_iovlen = count }, flags);
	return result_of(n, false);
}

static ssize_t write_ours(int fd, struct file *file, const struct iovec *iov, int count, int flags)
{
	ssize_t n = transmit(fd, file, iov, count, flags);

	let_go(file);
	if (n == IN_KERNEL)
		return REAL(sendmsg)(fd, &(struct msghdr){ .msg_iov = (void *)iov, .msg_iovlen = count }, flags);
	return result_of(n, !(flags & MSG_NOSIGNAL));
}

/* As the kernel: no more than this in one call. */
static size_t at_most(size_t size)
{
	return size < 0x7ffff000 ? size : 0x7ffff000;
}

static bool wrong_count(int count)
{
	if (count >= 0 && count <= IOV_MAX)
		return false;
	errno = EINVAL;
	return true;
}

/* ------------------------------------------------------------------ read */

SHIM ssize_t read(int fd, void *bytes, size_t size)
{
	struct file *file = hold(fd);

	if (!file)
		return REAL(read)(fd, bytes, size);
	return read_ours(fd, file, &(struct iovec){ bytes, at_most(size) }, 1, AS_FILE);
}

SHIM ssize_t recv(int fd, void *bytes, size_t size, int flags)
{
	struct file *file = hold(fd);

	if (!file)
		return REAL(recv)(fd, bytes, size, flags);
	return read_ours(fd, file, &(struct iovec){ bytes, at_most(size) }, 1, flags);
}

SHIM ssize_t recvfrom(int fd, void *bytes, size_t size, int flags, struct sockaddr *address, socklen_t *length)
{
	struct file *file = hold(fd);

	if (!file)
		return REAL(recvfrom)(fd, bytes, size, flags, address, length);
	/* TCP gives no address. */
	if (address && length)
		*length = 0;
	return read_ours(fd, file, &(struct iovec){ bytes, at_most(size) }, 1, flags);
}

SHIM ssize_t readv(int fd, const struct iovec *iov, int count)
{
	struct file *file;

	if (!is_connection(fd) || wrong_count(count) || !(file = hold(fd)))
		return REAL(readv)(fd, iov, count);
	return read_ours(fd, file, iov, count, AS_FILE);
}

SHIM ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	struct file *file;

	if (!is_connection(fd) || !(file = hold(fd)))
		return REAL(recvmsg)(fd, message, flags);
	message->msg_namelen = 0;
	message->msg_controllen = 0;
	message->msg_flags = 0;
	return read_ours(fd, file, message->msg_iov, message->msg_iovlen, flags);
}

SHIM int recvmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags, struct timespec *timeout)
{
	unsigned int done = 0;

	if (!is_connection(fd))
		return REAL(recvmmsg)(fd, messages, count, flags, timeout);
	for (; done < count; done++) {
		ssize_t n = recvmsg(fd, &messages[done].msg_hdr,
				    done && flags & MSG_WAITFORONE ? (flags | MSG_DONTWAIT) & ~MSG_WAITFORONE :
								     flags & ~MSG_WAITFORONE);

		if (n < 0)
			return done ? (int)done : -1;
		messages[done].msg_len = n;
		if (!n)
			return done + 1;
	}
	return done;
}

SHIM ssize_t preadv2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
	struct file *file;

	/* -1: where the file is, which is what a socket has. */
	if (!is_connection(fd) || offset != -1 || flags & ~RWF_NOWAIT || !(file = hold(fd)))
		return REAL(preadv2)(fd, iov, count, offset, flags);
	return read_ours(fd, file, iov, count, AS_FILE | (flags & RWF_NOWAIT ? MSG_DONTWAIT : 0));
}

SHIM ssize_t preadv64v2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
	return preadv2(fd, iov, count, offset, flags);
}

SHIM ssize_t __read_chk(int fd, void *bytes, size_t size, size_t room)
{
	if (size > room)
		abort();
	return read(fd, bytes, size);
}

SHIM ssize_t __recv_chk(int fd, void *bytes, size_t size, size_t room, int flags)
{
	if (size > room)
		abort();
	return recv(fd, bytes, size, flags);
}

SHIM ssize_t __recvfrom_chk(int fd, void *bytes, size_t size, size_t room, int flags, struct sockaddr *address,
			    socklen_t *length)
{
	if (size > room)
		abort();
	return recvfrom(fd, bytes, size, flags, address, length);
}

/* ------------------------------------------------------------------ write */

SHIM ssize_t write(int fd, const void *bytes, size_t size)
{
	struct file *file = hold(fd);

	if (!file)
		return REAL(write)(fd, bytes, size);
	return write_ours(fd, file, &(struct iovec){ (void *)bytes, at_most(size) }, 1, 0);
}

SHIM ssize_t send(int fd, const void *bytes, size_t size, int flags)
{
	struct file *file = hold(fd);

	if (!file)
		return REAL(send)(fd, bytes, size, flags);
	return write_ours(fd, file, &(struct iovec){ (void *)bytes, at_most(size) }, 1, flags);
}

SHIM ssize_t sendto(int fd, const void *bytes, size_t size, int flags, const struct sockaddr *address, socklen_t length)
{
	struct file *file = hold(fd);

	if (!file)
		return REAL(sendto)(fd, bytes, size, flags, address, length);
	return write_ours(fd, file, &(struct iovec){ (void *)bytes, at_most(size) }, 1, flags);
}

SHIM ssize_t writev(int fd, const struct iovec *iov, int count)
{
	struct file *file;

	if (!is_connection(fd) || wrong_count(count) || !(file = hold(fd)))
		return REAL(writev)(fd, iov, count);
	return write_ours(fd, file, iov, count, 0);
}

/* A connection that is passed to another process must be the kernel's. */
static void hand_over_passed(const struct msghdr *message)
{
	for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part; part = CMSG_NXTHDR((struct msghdr *)message, part)) {
		if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < (part->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
			struct file *file;
			int fd;

			memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof(fd));
			file = hold(fd);
			if (!file)
				continue;
			instance_hand_over(file, ENDPOINT_FOR_PASSED);
			let_go(file);
		}
	}
}

SHIM ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	struct file *file;

	if (!is_connection(fd) || !(file = hold(fd))) {
		if (files_count[FILE_CONNECTION] && message && message->msg_controllen)
			hand_over_passed(message);
		return REAL(sendmsg)(fd, message, flags);
	}
	return write_ours(fd, file, message->msg_iov, message->msg_iovlen, flags);
}

SHIM int sendmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags)
{
	unsigned int done = 0;

	if (!is_connection(fd))
		return REAL(sendmmsg)(fd, messages, count, flags);
	for (; done < count; done++) {
		ssize_t n = sendmsg(fd, &messages[done].msg_hdr, flags);

		if (n < 0)
			return done ? (int)done : -1;
		messages[done].msg_len = n;
	}
	return done;
}

SHIM ssize_t pwritev2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
	struct file *file;

	if (!is_connection(fd) || offset != -1 || flags & ~RWF_NOWAIT || !(file = hold(fd)))
		return REAL(pwritev2)(fd, iov, count, offset, flags);
	return write_ours(fd, file, iov, count, flags & RWF_NOWAIT ? MSG_DONTWAIT : 0);
}

SHIM ssize_t pwritev64v2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
	return pwritev2(fd, iov, count, offset, flags);
}

/* ------------------------------------------------------------------ from and to files */

/* From a file that can be read at an offset: what is not taken is read again next time. */
static ssize_t send_file(int out, int in, off_t *offset, size_t size)
{
	char *bytes = malloc(CHUNK);
	off_t at = offset ? *offset : lseek(in, 0, SEEK_CUR);
	size_t done = 0;
	ssize_t n = 0;
	bool held = false;

	if (!bytes || at < 0) {
		free(bytes);
		return -1;
	}
	while (done < size) {
		size_t wanted = size - done < CHUNK ? size - done : CHUNK;
		ssize_t got = REAL(pread)(in, bytes, wanted, at + done);

		if (got <= 0) {
			n = got;
			break;
		}
		held = (size_t)got == wanted && done + got < size;
		n = send(out, bytes, got, held ? MSG_MORE : 0);
		if (n <= 0)
			break;
		done += n;
		if (n < got)
			break;
	}
	free(bytes);
	if (!done && n < 0)
		return -1;
	/* The file has ended where more was wanted: nothing follows what was held back for it. */
	if (held && n >= 0)
		send(out, "", 0, MSG_NOSIGNAL);
	if (offset)
		*offset = at + done;
	else
		lseek(in, at + done, SEEK_SET);
	return done;
}

SHIM ssize_t sendfile(int out, int in, off_t *offset, size_t size)
{
	if (!is_connection(out))
		return REAL(sendfile)(out, in, offset, size);
	return send_file(out, in, offset, size);
}

SHIM ssize_t sendfile64(int out, int in, off64_t *offset, size_t size)
{
	return sendfile(out, in, offset, size);
}

/* Bytes in a pipe cannot be put back: the kernel does these. */
static void hand_over(int fd, enum endpoint_reason reason)
{
	struct file *file = hold(fd);

	if (!file)
		return;
	instance_hand_over(file, reason);
	let_go(file);
}

SHIM ssize_t splice(int in, off64_t *in_offset, int out, off64_t *out_offset, size_t size, unsigned int flags)
{
	hand_over(in, ENDPOINT_FOR_SPLICE);
	hand_over(out, ENDPOINT_FOR_SPLICE);
	return REAL(splice)(in, in_offset, out, out_offset, size, flags);
}

/* Streams read and write by the C library's own calls, which cannot be seen. */
SHIM FILE *fdopen(int fd, const char *mode)
{
	hand_over(fd, ENDPOINT_FOR_STDIO);
	return REAL(fdopen)(fd, mode);
}

SHIM int vdprintf(int fd, const char *format, va_list arguments)
{
	hand_over(fd, ENDPOINT_FOR_STDIO);
	return REAL(vdprintf)(fd, format, arguments);
}

SHIM int dprintf(int fd, const char *format, ...)
{
	va_list arguments;
	int result;

	va_start(arguments, format);
	result = vdprintf(fd, format, arguments);
	va_end(arguments);
	return result;
}
