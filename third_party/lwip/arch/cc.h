/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* lwIP's port layer. */
#ifndef AUTOCORK_LWIP_CC_H
#define AUTOCORK_LWIP_CC_H

#include <stdint.h>
#include <stdlib.h>

uint32_t engine_random(void);
_Noreturn void engine_assert_failed(const char *what, int line);

#define LWIP_RAND() engine_random()
#define LWIP_PLATFORM_DIAG(message)
#define LWIP_PLATFORM_ASSERT(message) engine_assert_failed(message, __LINE__)
#define LWIP_TIMEVAL_PRIVATE 0
#define LWIP_NO_CTYPE_H 0

#endif
