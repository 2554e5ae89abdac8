/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The page on a Unix socket: only root and the group that may read the control socket can connect to it. */
#pragma once
#include "lib/fault.h"

/* A listening descriptor, -1 with a fault. What a killed agent left there is replaced, nothing else is. */
int http_unix_listen(const char *path, int backlog, struct fault *fault);
