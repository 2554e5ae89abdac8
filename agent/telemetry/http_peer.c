/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "telemetry/http_peer.h"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SOMEBODY_ELSE (1ull << 63) /* above all user ids */

static void put(const struct sockaddr_storage *from, __be16 *port, __be32 address[4])
{
	const struct sockaddr_in *four = (const struct sockaddr_in *)from;
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)from;

	if (from->ss_family == AF_INET) {
		*port = four->sin_port;
		address[0] = four->sin_addr.s_addr;
	} else {
		*port = six->sin6_port;
		memcpy(address, &six->sin6_addr, sizeof(six->sin6_addr));
	}
}

/* The kernel answers at once, or says that there is none. */
static bool ask(int netlink, const struct inet_diag_req_v2 *wanted, uint32_t *uid)
{
	struct {
		struct nlmsghdr header;
		struct inet_diag_req_v2 wanted;
	} request = { { sizeof(request), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, 0, 0 }, *wanted };
	union {
		struct nlmsghdr header;
		char bytes[4096];
	} answer;
	const struct inet_diag_msg *found = NLMSG_DATA(&answer.header);
	ssize_t got;

	if (send(netlink, &request, sizeof(request), 0) < 0)
		return false;
	got = recv(netlink, &answer, sizeof(answer), MSG_DONTWAIT);
	if (got < (ssize_t)NLMSG_LENGTH(sizeof(*found)) || answer.header.nlmsg_type != SOCK_DIAG_BY_FAMILY)
		return false;
	/* Where there is no such connection, a listener on its port is what the kernel finds. */
	if (found->idiag_state == TCP_LISTEN)
		return false;
	*uid = found->idiag_uid;
	return true;
}

/* The other end, if it is a socket of this machine. */
static bool find_user(const struct sockaddr_storage *own, const struct sockaddr_storage *peer, uint32_t *uid)
{
	struct inet_diag_req_v2 wanted = {
		.sdiag_family = own->ss_family,
		.sdiag_protocol = IPPROTO_TCP,
		.idiag_states = ~0u,
	};
	int netlink = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	bool found;

	if (netlink < 0)
		return false;
	wanted.id.idiag_cookie[0] = wanted.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
	put(peer, &wanted.id.idiag_sport, wanted.id.idiag_src);
	put(own, &wanted.id.idiag_dport, wanted.id.idiag_dst);
	found = ask(netlink, &wanted, uid);
	close(netlink);
	return found;
}

uint64_t http_peer(int fd)
{
	struct sockaddr_storage own = { 0 }, peer = { 0 };
	socklen_t own_size = sizeof(own), peer_size = sizeof(peer);
	__be32 address[4] = { 0 };
	socklen_t cred_size = sizeof(struct ucred);
	struct ucred cred;
	uint64_t hash = 0;
	uint32_t uid;
	__be16 port;

	if (getsockname(fd, (struct sockaddr *)&own, &own_size) ||
	    getpeername(fd, (struct sockaddr *)&peer, &peer_size))
		return SOMEBODY_ELSE;
	if (own.ss_family == AF_UNIX)
		return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &cred_size) ? SOMEBODY_ELSE : cred.uid;
	if (find_user(&own, &peer, &uid))
		return uid;
	put(&peer, &port, address);
	for (int i = 0; i < 4; i++)
		hash = (hash ^ address[i]) * 0x9e3779b97f4a7c15ull;
	return hash | SOMEBODY_ELSE;
}
