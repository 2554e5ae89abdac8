/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* lwIP's port layer for its own tests. */
#ifndef AUTOCORK_TESTS_LWIP_CC_H
#define AUTOCORK_TESTS_LWIP_CC_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>

#define LWIP_RAND() ((unsigned)rand())
#define LWIP_PLATFORM_DIAG(message) printf message
#define LWIP_PLATFORM_ASSERT(message) (printf("%s:%d: %s\n", __FILE__, __LINE__, message), fflush(NULL), abort())
#define LWIP_TIMEVAL_PRIVATE 0

#endif
