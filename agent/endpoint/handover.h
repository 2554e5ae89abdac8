/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * A live connection moves from the engine to the kernel by TCP_REPAIR. Three steps: the program takes a snapshot (engine
 * side); the broker, which has CAP_NET_ADMIN, makes a kernel socket of it and takes the flow out of the steering; the program
 * puts the socket in its descriptor's place and drops the engine's. Between the snapshot and the drop the engine must not
 * run for that connection: the caller keeps its lock.
 */
#ifndef AUTOCORK_ENDPOINT_HANDOVER_H
#define AUTOCORK_ENDPOINT_HANDOVER_H

#include <stdbool.h>
#include <stdint.h>

#include "endpoint/engine.h"

/* Plain data: it crosses the control socket. The bytes follow it: unread, unacknowledged, unsent. */
struct handover {
	union engine_address local, peer;
	uint8_t state;         /* TCP_ESTABLISHED, TCP_CLOSE_WAIT, TCP_FIN_WAIT1, ... */
	uint8_t fin_received;  /* the peer's FIN is part of rcv_nxt */
	uint8_t fin_sent;      /* ours is to be sent after the bytes (shut down for writing) */
	uint8_t window_scaled; /* both sides offered the option */
	uint8_t snd_wscale, rcv_wscale;
	uint8_t sack, timestamps;
	uint8_t nodelay, cork, keepalive, reserved;
	uint16_t mss;
	uint32_t snd_una, snd_nxt, rcv_nxt;
	uint32_t snd_wl1, snd_wnd, max_window, rcv_wnd, rcv_wup;
	uint32_t ts_value; /* the next value of our timestamp clock, ms */
	uint32_t ts_recent;
	uint32_t sndbuf, rcvbuf;
	uint32_t keepidle, keepintvl, keepcnt; /* s, s, probes */
	uint32_t unread, unacked, unsent;      /* bytes in this order */
};

/*
 * Engine side. Bytes go to buffer; the return value is how many there are (more than room: nothing was copied, ask again
 * with that much), or -errno: -EOPNOTSUPP for a state that the kernel cannot take over (a listener, SYN sent or received).
 */
int64_t handover_take(struct engine_socket *socket, struct handover *snapshot, void *buffer, uint64_t room);

/*
 * The broker's side: false for numbers that no connection can have. bytes is the size of the buffer that came with it. The
 * broker calls it before handover_give(); a program's snapshot is not to be trusted.
 */
bool handover_valid(const struct handover *snapshot, uint64_t bytes);

/*
 * Makes the connection live on sock: an unbound, unconnected, non-blocking TCP socket of the right family in the right
 * network namespace. 0, or -errno with the step that failed in *what; the socket is then useless and sends nothing. *taken
 * counts those unsent bytes that the kernel took; the others are to be written by the program, in order.
 */
int handover_give(int sock, const struct handover *snapshot, const void *buffer, uint32_t *taken, const char **what);

#endif
