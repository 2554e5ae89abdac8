/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Hands an interface's XSKMAP to a process that has no right to attach anything itself: the handshake of the AF_XDP
 * device plugin, which DPDK 23.03 and newer speak with use_cni=1. A Unix SOCK_SEQPACKET; one request and one answer per
 * packet, no final zero:
 *
 *   /connect,HOST      -> /host_ok     must come first; not the name decides, but the socket's permissions
 *   /version           -> 0.1
 *   /xsk_map_fd,IFACE  -> /fd_ack      with the map's descriptor (SCM_RIGHTS), or /fd_nak
 *   /fin               -> /fin_ack     and the server closes
 *   anything else      -> /nak
 */
#pragma once
#include <systemd/sd-event.h>

#include "lib/fault.h"

#define HANDOFF_SOCKET "/run/autocork/afxdp.sock"
/* Its members may take the flows that rules steer. Without the group only root may. */
#define HANDOFF_GROUP "autocork-xdp"
#define HANDOFF_VERSION "0.1"
#define HANDOFF_REQUEST_MAX 255 /* DPDK sends at most 255 bytes (UDS_MAX_CMD_LEN 64 before 24.11) */
#define HANDOFF_CLIENTS_MAX 16
#define HANDOFF_IDLE_S 60
#define HANDOFF_REST_S 1 /* after a connection that could not be accepted */

struct handoff;

/* A stale socket is taken over, one that answers is refused. The loop must outlive it. */
int handoff_start(struct handoff **handoff, sd_event *loop, const char *path, struct fault *fault);
void handoff_stop(struct handoff *handoff);
