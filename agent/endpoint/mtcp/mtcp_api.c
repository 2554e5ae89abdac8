/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The calls on sockets: each is the C library's call of that name, on the context's TCP and with its numbers. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "endpoint/mtcp/config.h"
#include "endpoint/mtcp/context.h"

#define STREAM (1u << MTCP_SOCK_STREAM)
#define LISTENER (1u << MTCP_SOCK_LISTENER)
#define PIPE (1u << MTCP_SOCK_PIPE)

static int fail(int error)
{
	errno = error;
	return -1;
}

/* ------------------------------------------------------------------ how they come to be */

API int mtcp_socket(mctx_t mctx, int domain, int type, int protocol)
{
	if (context_has_room(mctx))
		return -1;
	if (domain != AF_INET && domain != AF_INET6)
		return fail(EAFNOSUPPORT);
	if (type != MTCP_SOCK_STREAM && type != SOCK_STREAM)
		return fail(ESOCKTNOSUPPORT);
	if (protocol && protocol != IPPROTO_TCP)
		return fail(EPROTONOSUPPORT);
	return context_add(mctx, socket(domain, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP), MTCP_SOCK_STREAM);
}

API int mtcp_bind(mctx_t mctx, int sockid, const struct sockaddr *addr, socklen_t addrlen)
{
	int fd = context_find(mctx, sockid, ANY_SOCKET, ENOTSOCK), one = 1;
	struct mtcp_conf conf;

	if (fd < 0)
		return -1;
	/* mTCP knows no port in TIME_WAIT, and no port that another context has. */
	mtcp_getconf(&conf);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (conf.num_cores > 1)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	return bind(fd, addr, addrlen);
}

API int mtcp_listen(mctx_t mctx, int sockid, int backlog)
{
	int fd = context_find(mctx, sockid, ANY_SOCKET, ENOTSOCK);
	char text[CONFIG_TEXT];

	if (fd < 0 || mctx->stack->listen(fd, backlog))
		return -1;
	context_turn_into(mctx, sockid, MTCP_SOCK_LISTENER);
	if (mctx->stack->autocork_endpoint_serve(fd, text, sizeof(text)) && !mctx->told) {
		mctx->told = true;
		say("%s; the kernel's TCP serves it", text);
	}
	return 0;
}

API int mtcp_accept(mctx_t mctx, int sockid, struct sockaddr *addr, socklen_t *addrlen)
{
	int fd = context_find(mctx, sockid, LISTENER, EINVAL);

	/* Without room the connection stays where it is. */
	if (fd < 0 || context_has_room(mctx))
		return -1;
	return context_add(mctx, mctx->stack->accept4(fd, addr, addrlen, SOCK_CLOEXEC), MTCP_SOCK_STREAM);
}

API int mtcp_init_rss(mctx_t mctx, in_addr_t saddr_base, int num_addr, in_addr_t daddr, in_addr_t dport)
{
	if (!mctx)
		return fail(EACCES);
	if (num_addr < 1)
		return fail(EINVAL);
	mctx->sources.base = saddr_base;
	mctx->sources.count = num_addr;
	mctx->sources.turn = 0;
	return 0;
}

/* From the next address of mtcp_init_rss(), if the program has bound none itself. */
static int bind_source(mctx_t mctx, int fd)
{
	struct sockaddr_in own = { 0 };
	socklen_t size = sizeof(own);
	int one = 1;

	if (mctx->sources.base == INADDR_ANY || getsockname(fd, (struct sockaddr *)&own, &size) ||
	    own.sin_family != AF_INET || own.sin_port || own.sin_addr.s_addr != INADDR_ANY)
		return 0;
	own.sin_addr.s_addr = htonl(ntohl(mctx->sources.base) + mctx->sources.turn++ % mctx->sources.count);
	/* The port is chosen at connect(), where the peer is known. */
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
	return bind(fd, (struct sockaddr *)&own, sizeof(own));
}

API int mtcp_connect(mctx_t mctx, int sockid, const struct sockaddr *addr, socklen_t addrlen)
{
	int fd = context_find(mctx, sockid, ANY_SOCKET, ENOTSOCK);

	if (fd < 0 || bind_source(mctx, fd))
		return -1;
	return mctx->stack->connect(fd, addr, addrlen);
}

API int mtcp_pipe(mctx_t mctx, int pipeid[2])
{
	int fds[2];

	if (context_has_room(mctx) || pipe2(fds, O_CLOEXEC))
		return -1;
	pipeid[0] = context_add(mctx, fds[0], MTCP_SOCK_PIPE);
	if (pipeid[0] < 0) {
		close(fds[1]);
		return -1;
	}
	pipeid[1] = context_add(mctx, fds[1], MTCP_SOCK_PIPE);
	if (pipeid[1] >= 0)
		return 0;
	mtcp_close(mctx, pipeid[0]);
	return fail(ENFILE);
}

/* ------------------------------------------------------------------ how they end */

API int mtcp_close(mctx_t mctx, int sockid)
{
	int fd = context_find(mctx, sockid, 0, 0);

	if (fd < 0)
		return -1;
	context_remove(mctx, sockid);
	return mctx->stack->close(fd);
}

API int mtcp_abort(mctx_t mctx, int sockid)
{
	static const struct linger now = { .l_onoff = 1, .l_linger = 0 };
	int fd = context_find(mctx, sockid, STREAM, ENOTSOCK);

	if (fd < 0)
		return -1;
	mctx->stack->setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	return mtcp_close(mctx, sockid);
}

/* ------------------------------------------------------------------ what they are */

API int mtcp_getsockopt(mctx_t mctx, int sockid, int level, int optname, void *optval, socklen_t *optlen)
{
	int fd = context_find(mctx, sockid, ANY_SOCKET, ENOTSOCK);

	return fd < 0 ? -1 : mctx->stack->getsockopt(fd, level, optname, optval, optlen);
}

API int mtcp_setsockopt(mctx_t mctx, int sockid, int level, int optname, const void *optval, socklen_t optlen)
{
	int fd = context_find(mctx, sockid, ANY_SOCKET, ENOTSOCK);

	return fd < 0 ? -1 : mctx->stack->setsockopt(fd, level, optname, optval, optlen);
}

API int mtcp_setsock_nonblock(mctx_t mctx, int sockid)
{
	int fd = context_find(mctx, sockid, ANY_SOCKET | PIPE, EBADF);
	int flags = fd < 0 ? -1 : mctx->stack->fcntl(fd, F_GETFL, 0);

	return flags < 0 ? -1 : mctx->stack->fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

API int mtcp_socket_ioctl(mctx_t mctx, int sockid, int request, void *argp)
{
	int fd = context_find(mctx, sockid, ANY_SOCKET | PIPE, EBADF);

	if (fd < 0)
		return -1;
	if (!argp)
		return fail(EFAULT);
	return mctx->stack->ioctl(fd, (unsigned int)request, argp);
}

API int mtcp_getsockname(mctx_t mctx, int sockid, struct sockaddr *addr, socklen_t *addrlen)
{
	int fd = context_find(mctx, sockid, ANY_SOCKET, ENOTSOCK);

	return fd < 0 ? -1 : mctx->stack->getsockname(fd, addr, addrlen);
}

API int mtcp_getpeername(mctx_t mctx, int sockid, struct sockaddr *addr, socklen_t *addrlen)
{
	int fd = context_find(mctx, sockid, ANY_SOCKET, ENOTSOCK);

	return fd < 0 ? -1 : mctx->stack->getpeername(fd, addr, addrlen);
}

API uint32_t mtcp_get_connection_cnt(mctx_t mctx)
{
	return mctx ? __atomic_load_n(&mctx->streams, __ATOMIC_RELAXED) : 0;
}

/* ------------------------------------------------------------------ bytes */

API ssize_t mtcp_read(mctx_t mctx, int sockid, char *buf, size_t len)
{
	int fd = context_find(mctx, sockid, ANY_SOCKET | PIPE, EBADF);

	return fd < 0 ? -1 : mctx->stack->read(fd, buf, len);
}

API ssize_t mtcp_recv(mctx_t mctx, int sockid, char *buf, size_t len, int flags)
{
	int fd = context_find(mctx, sockid, ANY_SOCKET, ENOTSOCK);

	return fd < 0 ? -1 : mctx->stack->recv(fd, buf, len, flags);
}

API int mtcp_readv(mctx_t mctx, int sockid, const struct iovec *iov, int numIOV)
{
	int fd = context_find(mctx, sockid, ANY_SOCKET | PIPE, EBADF);

	return fd < 0 ? -1 : mctx->stack->readv(fd, iov, numIOV);
}

/* A socket, not a pipe: its writes raise no SIGPIPE. */
static bool is_socket(mctx_t mctx, int sockid)
{
	return mctx->entries[sockid].type != MTCP_SOCK_PIPE;
}

API ssize_t mtcp_write(mctx_t mctx, int sockid, const char *buf, size_t len)
{
	int fd = context_find(mctx, sockid, ANY_SOCKET | PIPE, EBADF);

	if (fd < 0)
		return -1;
	return is_socket(mctx, sockid) ? mctx->stack->send(fd, buf, len, MSG_NOSIGNAL) :
					 mctx->stack->write(fd, buf, len);
}

API int mtcp_writev(mctx_t mctx, int sockid, const struct iovec *iov, int numIOV)
{
	int fd = context_find(mctx, sockid, ANY_SOCKET | PIPE, EBADF);
	struct msghdr message = { .msg_iov = (struct iovec *)iov, .msg_iovlen = numIOV };

	if (fd < 0)
		return -1;
	if (numIOV < 0 || numIOV > IOV_MAX)
		return fail(EINVAL);
	return is_socket(mctx, sockid) ? mctx->stack->sendmsg(fd, &message, MSG_NOSIGNAL) :
					 mctx->stack->writev(fd, iov, numIOV);
}
