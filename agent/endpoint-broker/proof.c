/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "endpoint-broker/proof.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "endpoint/tcp_engine.h"

static int option(int fd, int name)
{
	int value = -1;
	socklen_t size = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, name, &value, &size) ? -1 : value;
}

/* Sockets of another namespace have ports that are not ours. */
static bool is_here(int fd)
{
	uint64_t its = 0, ours = 1;
	socklen_t size = sizeof(its);
	int own = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool same = own >= 0 && !getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &its, &size) &&
		    !getsockopt(own, SOL_SOCKET, SO_NETNS_COOKIE, &ours, &size) && its == ours;

	if (own >= 0)
		close(own);
	return same;
}

struct owners {
	uint16_t port;
	bool found;	/* the proof itself is among the listeners */
	uint32_t owner; /* of the proof */
	uint64_t cookie;
	unsigned count;
	uint32_t uids[64];
};

static void note(struct owners *owners, const struct inet_diag_msg *message)
{
	uint64_t cookie = message->id.idiag_cookie[0] | (uint64_t)message->id.idiag_cookie[1] << 32;

	if (ntohs(message->id.idiag_sport) != owners->port)
		return;
	if (cookie == owners->cookie) {
		owners->found = true;
		owners->owner = message->idiag_uid;
	}
	for (unsigned i = 0; i < owners->count; i++)
		if (owners->uids[i] == message->idiag_uid)
			return;
	if (owners->count < sizeof(owners->uids) / sizeof(owners->uids[0]))
		owners->uids[owners->count++] = message->idiag_uid;
}

/* Everybody that listens on the port, of one family. */
static int list(int netlink, uint8_t family, struct owners *owners)
{
	struct {
		struct nlmsghdr head;
		struct inet_diag_req_v2 body;
	} request = {
		.head = { .nlmsg_len = sizeof(request),
			  .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			  .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.body = { .sdiag_family = family,
			  .sdiag_protocol = IPPROTO_TCP,
			  .idiag_states = 1 << TCP_LISTEN,
			  .id.idiag_sport = htons(owners->port) },
	};
	_Alignas(struct nlmsghdr) char buffer[32768];

	if (send(netlink, &request, sizeof(request), 0) < 0)
		return -1;
	for (;;) {
		ssize_t length = recv(netlink, buffer, sizeof(buffer), 0);

		if (length <= 0)
			return -1;
		for (struct nlmsghdr *head = (void *)buffer; NLMSG_OK(head, length); head = NLMSG_NEXT(head, length)) {
			if (head->nlmsg_type == NLMSG_DONE)
				return 0;
			if (head->nlmsg_type == NLMSG_ERROR)
				return -1;
			note(owners, NLMSG_DATA(head));
		}
	}
}

static int list_owners(int listener, struct owners *owners)
{
	socklen_t size = sizeof(owners->cookie);
	int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG), result;

	if (netlink < 0 || getsockopt(listener, SOL_SOCKET, SO_COOKIE, &owners->cookie, &size)) {
		if (netlink >= 0)
			close(netlink);
		return -1;
	}
	result = list(netlink, AF_INET, owners) ?: list(netlink, AF_INET6, owners);
	close(netlink);
	return result;
}

int proof_port(int listener, struct fault *fault)
{
	union engine_address address = { 0 };
	socklen_t size = sizeof(address);
	struct owners owners = { 0 };
	int domain = option(listener, SO_DOMAIN);

	if ((domain != AF_INET && domain != AF_INET6) || option(listener, SO_PROTOCOL) != IPPROTO_TCP ||
	    option(listener, SO_ACCEPTCONN) != 1 || getsockname(listener, &address.sa, &size))
		return fault_set(fault, EXIT_FAILED, "endpoint: the descriptor is no listening TCP socket");
	if (!is_here(listener))
		return fault_set(fault, EXIT_FAILED,
				 "endpoint: the socket listens in another network namespace: run the agent there");
	owners.port = ntohs(domain == AF_INET ? address.in.sin_port : address.in6.sin6_port);
	if (list_owners(listener, &owners))
		return fault_set(fault, EXIT_FAILED,
				 "port %u: its listeners cannot be listed: %s: the kernel serves it", owners.port,
				 strerror(errno));
	if (!owners.found)
		return fault_set(fault, EXIT_FAILED, "port %u: the socket does not listen any more", owners.port);
	/* 127.0.0.2:8080 is free for everybody where 10.0.0.1:8080 is another user's. */
	if (owners.count > 1)
		return fault_set(
			fault, EXIT_FAILED,
			"port %u: another user listens there too: the kernel serves it until only one user does",
			owners.port);
	return owners.port;
}
