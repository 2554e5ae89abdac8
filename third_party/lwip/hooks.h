/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What lwIP asks of the engine (agent/endpoint/secret.c and tcp_engine.c). */
#ifndef AUTOCORK_LWIP_HOOKS_H
#define AUTOCORK_LWIP_HOOKS_H

#include "lwip/arch.h"
#include "lwip/ip_addr.h"

struct tcp_pcb_listen;

u32_t engine_hook_isn(const ip_addr_t *local_ip, u16_t local_port, const ip_addr_t *remote_ip, u16_t remote_port);
u32_t engine_hook_hash(const ip_addr_t *local_ip, u16_t local_port, const ip_addr_t *remote_ip, u16_t remote_port);
/* A SYN for this listener: its receive buffer, or 0 if no connection can be taken. */
u32_t engine_hook_syn(struct tcp_pcb_listen *listener);

#define LWIP_HOOK_TCP_ISN engine_hook_isn
#define LWIP_HOOK_TCP_HASH engine_hook_hash
#define LWIP_HOOK_TCP_SYN engine_hook_syn

#endif
