/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The calls on sockets, beside reading and writing. */
#pragma once
#include <stdbool.h>

#include "endpoint/preload/descriptors.h"

/* A descriptor that may have come from elsewhere (exec, SCM_RIGHTS): a listener or an epoll set becomes known. NULL:
 * neither. */
struct file *sockets_adopt(int fd);
bool sockets_is_epoll(int fd);
