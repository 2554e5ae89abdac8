/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The privileged half of a hand-over: a connection of a program's own TCP becomes a kernel socket. */
#pragma once
#include <stdint.h>

#include "endpoint-broker/seat.h"
#include "endpoint/handover.h"

/*
 * bytes: a memfd with `size` bytes of the connection. The flow leaves the steering. 0 and a socket, or an errno value.
 * *taken: bytes of those not sent yet that the kernel has taken.
 */
int move_connection(const struct seat *seat, const struct handover *connection, int bytes, uint32_t size, int *sock,
		    uint32_t *taken, struct fault *fault);
