/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * mTCP's programming interface, served by autocork's endpoint: a program that was written for mTCP is compiled with
 * this file and linked with -lautocork-mtcp. docs/endpoint.md says what it needs and what is different.
 *
 * A context is a TCP of its own, with a queue of an interface of its own: one for each thread. It runs inside the
 * thread's calls; there is no thread behind it. Where no queue is to be had (no agent, no policy for the port), the
 * kernel's TCP serves the same calls, and a line on stderr says why.
 *
 * Order: mtcp_init(), then in each thread mtcp_core_affinitize() and mtcp_create_context(), then everything else.
 *
 * Errors: -1 (NULL from mtcp_create_context) with errno as the kernel's call of that name sets it, and in addition
 *   EPERM   the order above was not kept; a line on stderr says what is missing
 *   EACCES  mctx is NULL
 *   EBADF   the number is no socket of this context
 *   ENFILE  the context has max_concurrency sockets
 *   EMFILE  the process has no descriptor left (ulimit -n)
 *
 * Socket numbers go from 0 to max_concurrency - 1 in each context, so that they can be the index of an array. They are
 * no descriptors: read(), close() and epoll_ctl() do not know them. Sockets block until mtcp_setsock_nonblock().
 */
#ifndef AUTOCORK_MTCP_API_H
#define AUTOCORK_MTCP_API_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#ifndef UNUSED
#define UNUSED(x) (void)x
#endif

#ifndef INPORT_ANY
#define INPORT_ANY (uint16_t)0
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* MTCP_SOCK_STREAM is also a type for mtcp_socket(). */
enum socket_type {
	MTCP_SOCK_UNUSED,
	MTCP_SOCK_STREAM,
	MTCP_SOCK_PROXY, /* in no use */
	MTCP_SOCK_LISTENER,
	MTCP_SOCK_EPOLL,
	MTCP_SOCK_PIPE
};

/* The keys of the configuration file. */
struct mtcp_conf {
	int num_cores;	     /* contexts at most; their CPUs are 0 to num_cores - 1 [all CPUs of the machine] */
	int max_concurrency; /* sockets of a context [10000] */

	int max_num_buffers; /* connections of a context that can have bytes waiting [max_concurrency] */
	int rcvbuf_size;     /* bytes received and not read yet, of a connection, at most 4 MB [8192] */
	int sndbuf_size;     /* bytes written and not acknowledged yet, of a connection, at most 4 MB [8192] */

	int tcp_timewait; /* in no use: RFC 6191 and a bound of 16,384 connections take its place */
	int tcp_timeout;  /* in no use: TCP_USER_TIMEOUT and SO_KEEPALIVE of a socket take its place */
};

typedef struct mtcp_context *mctx_t;

/*
 * Reads the configuration: lines "key = value", # begins a comment. NULL: only what mtcp_setconf() said. A value that
 * makes no sense: EINVAL, nothing is set up. A key that is not used here: a warning. A second call: EALREADY.
 */
int mtcp_init(const char *config_file);
/* Ends all contexts, and forgets the configuration. */
void mtcp_destroy(void);

/* Before mtcp_init() (whose file then has the last word) or after it, while there is no context (else EBUSY). */
int mtcp_getconf(struct mtcp_conf *conf);
int mtcp_setconf(const struct mtcp_conf *conf);

/* The calling thread runs on this CPU alone. EINVAL: there is none. */
int mtcp_core_affinitize(int cpu);
/* For the calling thread, with the CPU that it has been given. EINVAL: another CPU, or beyond num_cores. EBUSY: there
 * is one. */
mctx_t mtcp_create_context(int cpu);
/* Closes all that it has, and gives its queue back. */
void mtcp_destroy_context(mctx_t mctx);

typedef void (*mtcp_sighandler_t)(int);
/* As signal(): the handler before, or SIG_ERR. */
mtcp_sighandler_t mtcp_register_signal(int signum, mtcp_sighandler_t handler);

/* Two socket numbers: read from the first, write to the second, and either into an epoll set. */
int mtcp_pipe(mctx_t mctx, int pipeid[2]);

int mtcp_getsockopt(mctx_t mctx, int sockid, int level, int optname, void *optval, socklen_t *optlen);
int mtcp_setsockopt(mctx_t mctx, int sockid, int level, int optname, const void *optval, socklen_t optlen);
int mtcp_setsock_nonblock(mctx_t mctx, int sockid);
/* FIONREAD (an int: bytes to read), FIONBIO, and what else ioctl() takes for a TCP socket. */
int mtcp_socket_ioctl(mctx_t mctx, int sockid, int request, void *argp);

/* AF_INET or AF_INET6; MTCP_SOCK_STREAM or SOCK_STREAM; 0 or IPPROTO_TCP. */
int mtcp_socket(mctx_t mctx, int domain, int type, int protocol);
/* With num_cores above 1 each context may bind the same port (SO_REUSEPORT). */
int mtcp_bind(mctx_t mctx, int sockid, const struct sockaddr *addr, socklen_t addrlen);
int mtcp_listen(mctx_t mctx, int sockid, int backlog);
int mtcp_accept(mctx_t mctx, int sockid, struct sockaddr *addr, socklen_t *addrlen);
/*
 * The connections of this context come from num_addr addresses from saddr_base on, in turn (network byte order).
 * INADDR_ANY: the kernel chooses. daddr and dport are not needed here.
 */
int mtcp_init_rss(mctx_t mctx, in_addr_t saddr_base, int num_addr, in_addr_t daddr, in_addr_t dport);
/* The connection is the kernel's (docs/endpoint.md). A socket that does not block: EINPROGRESS, then MTCP_EPOLLOUT. */
int mtcp_connect(mctx_t mctx, int sockid, const struct sockaddr *addr, socklen_t addrlen);
/* A socket, an epoll set or an end of a pipe. */
int mtcp_close(mctx_t mctx, int sockid);
/* As mtcp_close(), with a reset: nothing that waits is sent. */
int mtcp_abort(mctx_t mctx, int sockid);

int mtcp_getsockname(mctx_t mctx, int sockid, struct sockaddr *addr, socklen_t *addrlen);
int mtcp_getpeername(mctx_t mctx, int sockid, struct sockaddr *addr, socklen_t *addrlen);

/* Bytes, 0 at the end of the stream; a part is possible in all of them. Writing to a connection that is gone: EPIPE, no
 * signal. */
ssize_t mtcp_read(mctx_t mctx, int sockid, char *buf, size_t len);
ssize_t mtcp_recv(mctx_t mctx, int sockid, char *buf, size_t len, int flags);
ssize_t mtcp_write(mctx_t mctx, int sockid, const char *buf, size_t len);
/* numIOV: 1 to IOV_MAX. */
int mtcp_readv(mctx_t mctx, int sockid, const struct iovec *iov, int numIOV);
int mtcp_writev(mctx_t mctx, int sockid, const struct iovec *iov, int numIOV);

/* Streams of this context: connected, connecting or not connected yet. */
uint32_t mtcp_get_connection_cnt(mctx_t mctx);

#ifdef __cplusplus
}
#endif

#endif
