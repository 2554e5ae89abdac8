/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What the patched lwIP asks its user for (third_party/lwip/hooks.h), for lwIP's own tests. */
#ifndef AUTOCORK_TESTS_LWIP_HOOKS_H
#define AUTOCORK_TESTS_LWIP_HOOKS_H

#define LWIP_HOOK_TCP_HASH(local, local_port, remote, remote_port) (31u * (local_port) + (remote_port))
#define LWIP_HOOK_TCP_SYN(listener) TCP_WND

#endif
