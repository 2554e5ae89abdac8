/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Socket addresses and lwIP's. */
#include <string.h>

#include "endpoint/tcp_inside.h"

bool address_to_ip(const union engine_address *from, ip_addr_t *to, uint16_t *port, bool *mapped)
{
	memset(to, 0, sizeof(*to));
	*mapped = false;
	if (from->sa.sa_family == AF_INET) {
		ip_addr_set_ip4_u32(to, from->in.sin_addr.s_addr);
		*port = ntohs(from->in.sin_port);
		return true;
	}
	if (from->sa.sa_family != AF_INET6)
		return false;
	*port = ntohs(from->in6.sin6_port);
	if (IN6_IS_ADDR_V4MAPPED(&from->in6.sin6_addr)) {
		uint32_t v4;
		memcpy(&v4, from->in6.sin6_addr.s6_addr + 12, sizeof(v4));
		ip_addr_set_ip4_u32(to, v4);
		*mapped = true;
		return true;
	}
	memcpy(ip_2_ip6(to)->addr, &from->in6.sin6_addr, 16);
	IP_SET_TYPE(to, IPADDR_TYPE_V6);
	return true;
}

void address_from_ip(union engine_address *to, const ip_addr_t *from, uint16_t port, bool mapped)
{
	memset(to, 0, sizeof(*to));
	if (IP_IS_V4(from) && !mapped) {
		to->in.sin_family = AF_INET;
		to->in.sin_port = htons(port);
		to->in.sin_addr.s_addr = ip_2_ip4(from)->addr;
		return;
	}
	to->in6.sin6_family = AF_INET6;
	to->in6.sin6_port = htons(port);
	if (IP_IS_V4(from)) {
		to->in6.sin6_addr.s6_addr[10] = to->in6.sin6_addr.s6_addr[11] = 0xff;
		memcpy(to->in6.sin6_addr.s6_addr + 12, &ip_2_ip4(from)->addr, 4);
	} else {
		memcpy(&to->in6.sin6_addr, ip_2_ip6(from)->addr, 16);
	}
}
