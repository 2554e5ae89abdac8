/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * lwIP as the endpoint's engine uses it: TCP alone. What is below TCP (Ethernet, IP, checksums, neighbours) is
 * agent/endpoint/frame.c; what drives the timers is agent/endpoint/tcp_engine.c.
 */
#ifndef AUTOCORK_LWIPOPTS_H
#define AUTOCORK_LWIPOPTS_H

#define NO_SYS 1
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_NETCONN 0
#define LWIP_SOCKET 0
#define LWIP_TIMERS 0
#define LWIP_STATS 0
#define LWIP_RAW 0
#define LWIP_UDP 0
#define LWIP_ICMP 0
#define LWIP_ICMP6 0
#define LWIP_ARP 0
#define LWIP_DHCP 0
#define LWIP_AUTOIP 0
#define LWIP_IPV4 1
#define LWIP_IPV6 1
#define LWIP_IPV6_SCOPES 0
#define LWIP_IPV6_FRAG 0
#define LWIP_IPV6_REASS 0
#define LWIP_IPV6_MLD 0
#define LWIP_ND6_TCP_REACHABILITY_HINTS 0
#define LWIP_SINGLE_NETIF 1
#define LWIP_NETIF_TX_SINGLE_PBUF 0
#define IP_REASSEMBLY 0
#define IP_FRAG 0
#define SO_REUSE 0

/* The C library's allocator: its limits are the engine's own, by the number of connections and their buffers. */
#define MEM_LIBC_MALLOC 1
#define MEMP_MEM_MALLOC 1
#define MEM_ALIGNMENT 8
#define LWIP_SUPPORT_CUSTOM_PBUF 1
#define ETH_PAD_SIZE 0
#define PBUF_LINK_HLEN 0
#define PBUF_IP_HLEN 0

/* Checksums are made and checked where the bytes are copied (frame.c). */
#define CHECKSUM_GEN_IP 0
#define CHECKSUM_GEN_TCP 0
#define CHECKSUM_CHECK_IP 0
#define CHECKSUM_CHECK_TCP 0
#define LWIP_CHECKSUM_ON_COPY 0

#define LWIP_TCP 1
#define TCP_MSS 8960 /* the upper bound; a connection's comes from the MTU and the peer */
#define LWIP_WND_SCALE 1
#define TCP_RCV_SCALE 7
#define TCP_WND (4U << 20)
#define TCP_SND_BUF (4U << 20)
#define TCP_SND_QUEUELEN 65000
#define TCP_SNDLOWAT 1
#define TCP_SNDQUEUELOWAT 1
#define TCP_WND_UPDATE_THRESHOLD LWIP_MIN(pcb->rcv_wnd_max / 4, 8U * pcb->mss)
#define TCP_QUEUE_OOSEQ 1
#define TCP_OOSEQ_MAX_BYTES (1U << 20)
#define TCP_OOSEQ_MAX_PBUFS 1024
#define LWIP_TCP_SACK_OUT 1
#define LWIP_TCP_MAX_SACK_NUM 4
#define LWIP_TCP_TIMESTAMPS 1
#define LWIP_TCP_KEEPALIVE 1
#define TCP_LISTEN_BACKLOG 1
#define TCP_DEFAULT_LISTEN_BACKLOG 128
#define TCP_CALCULATE_EFF_SEND_MSS 1
#define TCP_SMALLER_RTX 3 /* timeouts of a segment, then its size is taken for the reason */
#define TCP_MSS_SURE 536 /* RFC 9293: what every path takes, but for the rarest */
#define TCP_MAXRTX 15
#define TCP_SYNMAXRTX 6
#define TCP_MSL 30000
#define TCP_FIN_WAIT_TIMEOUT 60000
#define TCP_TTL 64
#define TCP_TMR_INTERVAL 50 /* TCP_SLOW_INTERVAL, the tick of all timers, is twice that: 100 ms */
#define TCP_RTO_MIN 300     /* a tick can be a whole one short, so at least 200 ms, as the kernel's */

#define LWIP_HOOK_FILENAME "hooks.h"

#endif
