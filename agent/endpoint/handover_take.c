/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The engine's side of a hand-over: what the kernel has to know of a connection, and its bytes. */
#include <errno.h>
#include <string.h>

#include "endpoint/handover.h"
#include "endpoint/tcp_inside.h"

/* The end of the data on a list: the greatest sequence number behind a byte of it. */
static uint32_t data_end(const struct tcp_seg *seg, uint32_t end)
{
	for (; seg; seg = seg->next) {
		uint32_t seg_end = lwip_ntohl(seg->tcphdr->seqno) + seg->len;
		if (seg->len && TCP_SEQ_GT(seg_end, end))
			end = seg_end;
	}
	return end;
}

/* Segments go to their places by number: a retransmission may stand on either list. */
static void copy_segments(const struct tcp_seg *seg, uint32_t first, uint8_t *to)
{
	for (; seg; seg = seg->next) {
		uint32_t seqno = lwip_ntohl(seg->tcphdr->seqno);
		uint16_t headers = (uint16_t)(seg->p->tot_len - seg->len), skip = 0;

		if (TCP_SEQ_LT(seqno, first)) {
			if (first - seqno >= seg->len)
				continue;
			skip = (uint16_t)(first - seqno);
		}
		pbuf_copy_partial(seg->p, to + (seqno + skip - first), (u16_t)(seg->len - skip),
				  (u16_t)(headers + skip));
	}
}

static bool can_move(const struct engine_socket *socket)
{
	return socket->pcb && !socket->is_listener && socket->pcb->state >= ESTABLISHED &&
	       socket->pcb->state < TIME_WAIT;
}

int64_t handover_take(struct engine_socket *socket, struct handover *snapshot, void *buffer, uint64_t room)
{
	struct tcp_pcb *pcb = socket->pcb;
	uint32_t first, end, sent;
	uint64_t size;

	if (!can_move(socket))
		return -EOPNOTSUPP;
	engine_update_clock(socket->engine);
	/* A FIN that was acknowledged is sent again by the kernel, which has to see an acknowledgement of its own. */
	first = pcb->lastack - (pcb->state == FIN_WAIT_2);
	end = data_end(pcb->unsent, data_end(pcb->unacked, first));
	sent = pcb->snd_nxt - first < end - first ? pcb->snd_nxt - first : end - first;
	size = (uint64_t)socket->queue.bytes + (end - first);
	*snapshot = (struct handover){
		.local = socket->local,
		.peer = socket->peer,
		.state = engine_state(socket),
		.fin_received = socket->eof,
		.fin_sent = socket->shut_write,
		.window_scaled = !!(pcb->flags & TF_WND_SCALE),
		.snd_wscale = pcb->snd_scale,
		.rcv_wscale = pcb->rcv_scale,
		.sack = !!(pcb->flags & TF_SACK),
		.timestamps = !!(pcb->flags & TF_TIMESTAMP),
		.nodelay = !!tcp_nagle_disabled(pcb),
		.cork = socket->cork,
		.keepalive = !!ip_get_option(pcb, SOF_KEEPALIVE),
		.mss = pcb->mss,
		.snd_una = first,
		.snd_nxt = first + sent,
		.rcv_nxt = pcb->rcv_nxt - socket->eof,
		.snd_wl1 = pcb->snd_wl1,
		.snd_wnd = pcb->snd_wnd,
		.max_window = pcb->snd_wnd_max > pcb->snd_wnd ? pcb->snd_wnd_max : pcb->snd_wnd,
		.ts_value = (u32_t)(socket->engine->now / NS_PER_MS),
		.ts_recent = pcb->ts_recent,
		.sndbuf = socket->sndbuf,
		.rcvbuf = socket->rcvbuf,
		.keepidle = pcb->keep_idle / 1000,
		.keepintvl = pcb->keep_intvl / 1000,
		.keepcnt = pcb->keep_cnt,
		.unread = socket->queue.bytes,
		.unacked = sent,
		.unsent = end - first - sent,
	};
	snapshot->rcv_wup = snapshot->rcv_nxt;
	snapshot->rcv_wnd = pcb->rcv_ann_right_edge - snapshot->rcv_nxt;
	if (TCP_SEQ_LT(pcb->rcv_ann_right_edge, snapshot->rcv_nxt))
		snapshot->rcv_wnd = 0;
	if (TCP_SEQ_GT(snapshot->snd_wl1, snapshot->rcv_nxt))
		snapshot->snd_wl1 = snapshot->rcv_nxt;
	if (size > room)
		return (int64_t)size;
	struct iovec iov = { buffer, socket->queue.bytes };
	queue_copy(&socket->queue, &iov, 1);
	copy_segments(pcb->unacked, first, (uint8_t *)buffer + socket->queue.bytes);
	copy_segments(pcb->unsent, first, (uint8_t *)buffer + socket->queue.bytes);
	return (int64_t)size;
}
