/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Socket options with the kernel's names and meaning. What is not here is a reason for a hand-over. */
#include <errno.h>
#include <string.h>

#include "endpoint/tcp_inside.h"

static int clamp(int64_t value, int64_t least, int64_t most)
{
	return (int)(value < least ? least : value > most ? most : value);
}

static int set_socket_option(struct engine_socket *socket, int name, int value, const void *raw, socklen_t len)
{
	struct linger linger;

	switch (name) {
	case SO_KEEPALIVE:
		if (socket->dead)
			return 0;
		if (value)
			ip_set_option(socket->pcb, SOF_KEEPALIVE);
		else
			ip_reset_option(socket->pcb, SOF_KEEPALIVE);
		return 0;
	case SO_SNDBUF: /* the kernel doubles what it is given, and says so in getsockopt() */
		socket->sndbuf = clamp((int64_t)value * 2, 4608, BUFFER_MAX);
		return 0;
	case SO_RCVBUF:
		socket->rcvbuf = clamp((int64_t)value * 2, 2304, BUFFER_MAX);
		if (!socket->is_listener)
			socket_apply_buffers(socket);
		return 0;
	case SO_RCVLOWAT:
		socket->rcvlowat = clamp(value, 1, (int64_t)socket->rcvbuf / 2);
		return 0;
	case SO_LINGER:
		if (len < sizeof(linger))
			return -EINVAL;
		memcpy(&linger, raw, sizeof(linger));
		socket->linger = linger.l_onoff ? linger.l_linger : -1;
		return 0;
	case SO_REUSEADDR:
	case SO_REUSEPORT:
		return 0; /* the real socket's business */
	}
	return -EOPNOTSUPP;
}

static int set_tcp_option(struct engine_socket *socket, int name, int value)
{
	struct tcp_pcb *pcb = socket->is_listener ? NULL : socket->pcb;

	switch (name) {
	case KERNEL_NODELAY:
		socket->nodelay = value;
		if (pcb && value)
			tcp_nagle_disable(pcb);
		else if (pcb)
			tcp_nagle_enable(pcb);
		if (pcb && value && !socket->cork)
			tcp_output(pcb);
		return 0;
	case KERNEL_CORK:
		socket->cork = value;
		if (pcb && !value)
			tcp_output(pcb);
		return 0;
	case KERNEL_KEEPIDLE:
		if (value < 1 || value > 32767)
			return -EINVAL;
		*(pcb ? &pcb->keep_idle : &socket->keep_idle) = value * 1000u;
		return 0;
	case KERNEL_KEEPINTVL:
		if (value < 1 || value > 32767)
			return -EINVAL;
		*(pcb ? &pcb->keep_intvl : &socket->keep_intvl) = value * 1000u;
		return 0;
	case KERNEL_KEEPCNT:
		if (value < 1 || value > 127)
			return -EINVAL;
		*(pcb ? &pcb->keep_cnt : &socket->keep_cnt) = value;
		return 0;
	case KERNEL_QUICKACK:
		return 0;
	}
	return -EOPNOTSUPP;
}

int engine_set_option(struct engine_socket *socket, int level, int name, const void *value, socklen_t len)
{
	int number, result;

	if (len < sizeof(number))
		return -EINVAL;
	memcpy(&number, value, sizeof(number));
	engine_update_clock(socket->engine);
	if (level == SOL_SOCKET)
		result = set_socket_option(socket, name, number, value, len);
	else if (level == IPPROTO_TCP)
		result = set_tcp_option(socket, name, number);
	else
		result = -EOPNOTSUPP;
	engine_touch(socket->engine);
	return result;
}

static void fill_info(const struct engine_socket *socket, struct tcp_info *info)
{
	const struct tcp_pcb *pcb = socket->pcb;

	memset(info, 0, sizeof(*info));
	info->tcpi_state = engine_state(socket);
	if (!pcb || socket->is_listener)
		return;
	uint32_t mss = tcp_mss(pcb);
	info->tcpi_retransmits = pcb->nrtx;
	info->tcpi_probes = pcb->keep_cnt_sent;
	info->tcpi_options = (pcb->flags & TF_TIMESTAMP ? TCPI_OPT_TIMESTAMPS : 0) |
			     (pcb->flags & TF_SACK ? TCPI_OPT_SACK : 0) |
			     (pcb->flags & TF_WND_SCALE ? TCPI_OPT_WSCALE : 0);
	info->tcpi_snd_wscale = pcb->snd_scale;
	info->tcpi_rcv_wscale = pcb->rcv_scale;
	info->tcpi_rto = pcb->rto * TCP_SLOW_INTERVAL * 1000u;
	info->tcpi_ato = DELAYED_ACK_NS / 1000;
	info->tcpi_snd_mss = mss;
	info->tcpi_rcv_mss = mss;
	info->tcpi_unacked = mss ? (pcb->snd_nxt - pcb->lastack + mss - 1) / mss : 0;
	info->tcpi_rtt = (pcb->sa >> 3) * TCP_SLOW_INTERVAL * 1000u;
	info->tcpi_rttvar = (pcb->sv >> 2) * TCP_SLOW_INTERVAL * 1000u;
	info->tcpi_snd_ssthresh = mss ? pcb->ssthresh / mss : 0;
	info->tcpi_snd_cwnd = mss ? pcb->cwnd / mss : 0;
	info->tcpi_advmss = mss;
	info->tcpi_rcv_space = pcb->rcv_wnd_max;
	info->tcpi_pmtu = mss + 52;
}

/* Of a connection that has ended, as of one that lives: programs set and ask after a RST as well. */
static int get_number(const struct engine_socket *socket, int level, int name, int *value)
{
	const struct tcp_pcb *pcb = socket->pcb;

	if (level == SOL_SOCKET)
		switch (name) {
		case SO_KEEPALIVE:
			*value = pcb && ip_get_option(pcb, SOF_KEEPALIVE);
			return 0;
		case SO_SNDBUF:
			*value = (int)socket->sndbuf;
			return 0;
		case SO_RCVBUF:
			*value = (int)socket->rcvbuf;
			return 0;
		case SO_RCVLOWAT:
			*value = (int)socket->rcvlowat;
			return 0;
		case SO_ERROR:
			*value = engine_take_error((struct engine_socket *)socket);
			return 0;
		}
	bool own = socket->is_listener || !pcb;
	if (level == IPPROTO_TCP)
		switch (name) {
		case KERNEL_NODELAY:
			*value = own ? socket->nodelay : !!tcp_nagle_disabled(pcb);
			return 0;
		case KERNEL_CORK:
			*value = socket->cork;
			return 0;
		case KERNEL_MAXSEG:
			*value = own ? 536 : tcp_mss(pcb);
			return 0;
		case KERNEL_KEEPIDLE:
			*value = (int)((own ? socket->keep_idle : pcb->keep_idle) / 1000);
			return 0;
		case KERNEL_KEEPINTVL:
			*value = (int)((own ? socket->keep_intvl : pcb->keep_intvl) / 1000);
			return 0;
		case KERNEL_KEEPCNT:
			*value = (int)(own ? socket->keep_cnt : pcb->keep_cnt);
			return 0;
		case KERNEL_QUICKACK:
			*value = 1;
			return 0;
		}
	return -EOPNOTSUPP;
}

int engine_get_option(const struct engine_socket *socket, int level, int name, void *value, socklen_t *len)
{
	struct linger linger = { socket->linger >= 0, socket->linger >= 0 ? socket->linger : 0 };
	struct tcp_info info;
	const void *from;
	socklen_t size;
	int number;

	if (level == SOL_SOCKET && name == SO_LINGER) {
		from = &linger;
		size = sizeof(linger);
	} else if (level == IPPROTO_TCP && name == KERNEL_INFO) {
		fill_info(socket, &info);
		from = &info;
		size = sizeof(info);
	} else {
		int err = get_number(socket, level, name, &number);
		if (err)
			return err;
		from = &number;
		size = sizeof(number);
	}
	if (*len < size)
		size = *len;
	memcpy(value, from, size);
	*len = size;
	return 0;
}
