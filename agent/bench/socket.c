/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The few socket calls that both sides share. */
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "bench/sides.h"

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
		limit.rlim_max = need;	/* root may */
	setrlimit(RLIMIT_NOFILE, &limit);
}
