/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Whose a connection to the page is: no one user of this machine, and no one other machine, may take all of them. */
#pragma once
#include <stdint.h>

/* Of an accepted socket: the same number for the same user, or for the same address of another machine. */
uint64_t http_peer(int fd);
