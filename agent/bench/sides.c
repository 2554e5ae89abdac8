/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The few socket calls and clocks that both sides share. */
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench/sides.h"

struct addrinfo *bench_resolve(const char *host, const char *port, int family, struct fault *fault)
{
	struct addrinfo hints = { .ai_family = family, .ai_socktype = SOCK_STREAM }, *list = NULL;
	int error = getaddrinfo(host, port, &hints, &list);

	if (error)
		fault_set(fault, EXIT_FAILED, "%s: %s: name an address the server listens on", host,
			  gai_strerror(error));
	return list;
}

int bench_connect(const struct addrinfo *list, const char *host, const char *port, struct fault *fault)
{
	int error = 0;

	for (; list; list = list->ai_next) {
		int fd = socket(list->ai_family, list->ai_socktype | SOCK_CLOEXEC, list->ai_protocol);

		if (fd >= 0 && !connect(fd, list->ai_addr, list->ai_addrlen))
			return fd;
		error = errno;
		if (fd >= 0)
			close(fd);
	}
	return fault_set(fault, EXIT_FAILED, "%s port %s: %s: is `autocork bench server` running there?", host, port,
			 strerror(error));
}

int bench_write_all(int fd, const void *bytes, size_t size)
{
	const uint8_t *from = bytes;

	while (size) {
		ssize_t n = write(fd, from, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		from += n;
		size -= (size_t)n;
	}
	return 0;
}

int bench_read_all(int fd, void *bytes, size_t size)
{
	uint8_t *to = bytes;

	while (size) {
		ssize_t n = read(fd, to, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			errno = n ? errno : ECONNRESET;
			return -1;
		}
		to += n;
		size -= (size_t)n;
	}
	return 0;
}

static uint64_t timeval_ns(const struct timeval *t)
{
	return (uint64_t)t->tv_sec * 1000000000 + (uint64_t)t->tv_usec * 1000;
}

void bench_cpu_used(struct bench_cpu *cpu)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	cpu->user_ns = timeval_ns(&usage.ru_utime);
	cpu->system_ns = timeval_ns(&usage.ru_stime);
}

void bench_count(int fd, struct bench_counted *counted)
{
	struct tcp_info info;
	socklen_t size = sizeof(info);

	memset(&info, 0, sizeof(info));
	getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size);
	counted->segments = info.tcpi_data_segs_out;
	counted->retransmits = info.tcpi_total_retrans;
}

void bench_no_delay(int fd)
{
	int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

void bench_allow_files(uint32_t connections)
{
	struct rlimit limit;
	rlim_t need = (rlim_t)connections + 64;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= need)
		return;
	limit.rlim_cur = need;
	if (limit.rlim_max < need)
		limit.rlim_max = need; /* root may */
	setrlimit(RLIMIT_NOFILE, &limit);
}
