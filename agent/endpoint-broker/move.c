/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "endpoint-broker/move.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void put_address(uint8_t out[16], const union engine_address *address)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	if (address->sa.sa_family == AF_INET6) {
		memcpy(out, &address->in6.sin6_addr, 16);
		return;
	}
	memcpy(out, mapped, sizeof(mapped));
	memcpy(out + 12, &address->in.sin_addr, 4);
}

/* sin_port and sin6_port are at one place. */
static bool flow_of(const struct handover *connection, struct steer_flow_key *key)
{
	memset(key, 0, sizeof(*key));
	if (connection->local.sa.sa_family != connection->peer.sa.sa_family ||
	    (connection->local.sa.sa_family != AF_INET && connection->local.sa.sa_family != AF_INET6))
		return false;
	key->local_port = connection->local.in.sin_port;
	key->remote_port = connection->peer.in.sin_port;
	put_address(key->local, &connection->local);
	put_address(key->remote, &connection->peer);
	return true;
}

static int read_bytes(int fd, void **buffer, uint32_t size)
{
	*buffer = malloc(size ?: 1);
	if (!*buffer)
		return ENOMEM;
	/* A copy: what is checked must not change afterwards. */
	if (pread(fd, *buffer, size, 0) == (ssize_t)size)
		return 0;
	free(*buffer);
	return EINVAL;
}

/* The table that has the flow, of those for each state of its life; -1: it is not steered. */
static int table_of(const struct seat *seat, const struct steer_flow_key *key, struct steer_flow *flow)
{
	const int tables[] = { seat->tables.steer_flows, seat->tables.steer_silent, seat->tables.steer_syns,
			       seat->tables.steer_closed };

	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		if (!bpf_map_lookup_elem(tables[i], key, flow))
			return tables[i];
	return -1;
}

int move_connection(const struct seat *seat, const struct handover *connection, int bytes, uint32_t size, int *sock,
		    uint32_t *taken, struct fault *fault)
{
	struct steer_flow_key key;
	struct steer_flow flow;
	const char *what = "";
	void *buffer;
	int error, table;

	fault_set(fault, EXIT_FAILED, "hand-over: the connection's numbers make no sense");
	if (!flow_of(connection, &key) || !handover_valid(connection, size))
		return EINVAL;
	/* Only a flow that is steered is a program's to give: no other connection can be made up. */
	fault_set(fault, EXIT_FAILED, "hand-over: the connection is not steered");
	table = table_of(seat, &key, &flow);
	if (table < 0)
		return ENOENT;
	fault_set(fault, EXIT_FAILED, "hand-over: the bytes cannot be read");
	error = read_bytes(bytes, &buffer, size);
	if (error)
		return error;
	*sock = socket(connection->local.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
	error = *sock < 0 ? errno : -handover_restore(*sock, connection, buffer, &what);
	if (!error) {
		/* In this order: the kernel knows the connection, its packets come there, it answers them. */
		bpf_map_delete_elem(table, &key);
		error = -handover_start(*sock, connection, buffer, taken, &what);
		if (error)
			bpf_map_update_elem(table, &key, &flow, BPF_ANY);
	}
	free(buffer);
	if (!error)
		return 0;
	fault_set(fault, EXIT_FAILED, "hand-over: %s: %s", what, strerror(error));
	if (*sock >= 0)
		close(*sock);
	return error;
}
