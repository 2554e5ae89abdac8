/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Who may take a port: the holder of a socket that listens on it, while no other user listens on it too. */
#pragma once
#include <stdint.h>

#include "lib/fault.h"

/* The port of a TCP socket of this network namespace that listens, or -1 with the reason. */
int proof_port(int listener, struct fault *fault);
