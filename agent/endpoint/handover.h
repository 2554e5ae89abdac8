/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * A live connection moves from the engine to the kernel by TCP_REPAIR. Steps: the program takes a snapshot; the
 * broker, which has CAP_NET_ADMIN, makes a kernel socket of it, takes the flow out of the steering and lets the socket
 * live; the program puts it in its descriptor's place and drops the engine's (engine_drop). Between the snapshot and
 * the drop the engine must not run for that connection: the caller keeps its lock.
 */
#ifndef AUTOCORK_ENDPOINT_HANDOVER_H
#define AUTOCORK_ENDPOINT_HANDOVER_H

#include <stdbool.h>
#include <stdint.h>

#include "endpoint/tcp_engine.h"

/* Plain data: it crosses the control socket. The bytes follow it: unread, unacknowledged, unsent. */
struct handover {
	union engine_address local, peer;
	uint8_t state;	       /* TCP_ESTABLISHED, TCP_CLOSE_WAIT, TCP_FIN_WAIT1, ... */
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
 * Engine side. Bytes go to buffer; the return value is how many there are (more than room: nothing was copied, ask
 * again with that much), or -errno: -EOPNOTSUPP for a state that the kernel cannot take over (a listener, SYN sent or
 * received).
 */
int64_t handover_take(struct engine_socket *socket, struct handover *snapshot, void *buffer, uint64_t room);

/*
 * The broker's side: false for numbers that no connection can have. bytes is the size of the buffer that came with it.
 * The broker calls it before handover_restore(); a program's snapshot is not to be trusted.
 */
bool handover_valid(const struct handover *snapshot, uint64_t bytes);

/*
 * On sock, an unbound, unconnected TCP socket of the right family; both calls are made in its network namespace.
 *
 * handover_restore() gives the kernel the connection, in repair mode: it is silent. The flow now has to leave the
 * steering; until then its frames are dropped by the engine, and before this call the kernel would answer them with a
 * RST. handover_start() ends repair mode: the connection lives. *taken counts the unsent bytes that the kernel took;
 * the program writes the others, in order, and then its FIN if fin_sent is set.
 *
 * 0, or -errno with the step that failed in *what. After a failure of handover_restore() sock is to be closed and the
 * engine's connection goes on as if nothing had been.
 */
int handover_restore(int sock, const struct handover *snapshot, const void *buffer, const char **what);
int handover_start(int sock, const struct handover *snapshot, const void *buffer, uint32_t *taken, const char **what);

#endif
