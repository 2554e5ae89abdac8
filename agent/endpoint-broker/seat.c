/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "endpoint-broker/seat.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_xdp.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "steer/interface.h"
#include "steer/steer.h"

/* Of queues for which gone[queue] is set. */
static void clear_ports_of(int steer_listeners, const bool gone[STEER_QUEUES_MAX])
{
	uint32_t key, next, *previous = NULL;
	int left = STEER_LISTENERS_MAX + 1;
	bool more = true;

	while (more && left--) {
		more = !bpf_map_get_next_key(steer_listeners, previous, &next);
		if (previous && key >> 16 < STEER_QUEUES_MAX && gone[key >> 16])
			bpf_map_delete_elem(steer_listeners, &key);
		key = next;
		previous = &key;
	}
}

/* What a program that had the queue before has left behind. */
static void clear_ports(const struct seat *seat)
{
	bool gone[STEER_QUEUES_MAX] = { false };

	gone[seat->queue] = true;
	clear_ports_of(seat->tables.steer_listeners, gone);
}

/* The queue's own map, with no port closed. 0 or a negative errno. */
static int make_door(struct seat *seat)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_MMAPABLE);
	int error;

	seat->door = bpf_map_create(BPF_MAP_TYPE_ARRAY, STEER_DOOR_NAME, sizeof(uint32_t), sizeof(struct steer_door), 1,
				    &options);
	if (seat->door < 0)
		return seat->door;
	error = bpf_map_update_elem(seat->tables.steer_doors, &seat->queue, &seat->door, BPF_ANY) ? -errno : 0;
	if (error)
		close(seat->door);
	return error;
}

static void drop_door(const struct seat *seat)
{
	bpf_map_delete_elem(seat->tables.steer_doors, &seat->queue);
	close(seat->door);
}

/* Connections of programs that are gone. A flow does not say which queue it had: the last one takes them all. */
static void forget_flows(const char *interface, const struct steer_tables *tables)
{
	bool taken[STEER_QUEUES_MAX];

	if (steer_seats(interface, tables, taken))
		return;
	for (unsigned i = 0; i < STEER_QUEUES_MAX; i++)
		if (taken[i])
			return;
	tables_forget_endpoints(tables);
}

void seats_sweep(const char *interface)
{
	bool taken[STEER_QUEUES_MAX], gone[STEER_QUEUES_MAX];
	struct steer_tables tables;
	struct fault fault;

	if (tables_open(&tables, interface, &fault))
		return;
	if (!steer_seats(interface, &tables, taken)) {
		for (unsigned i = 0; i < STEER_QUEUES_MAX; i++)
			gone[i] = !taken[i];
		clear_ports_of(tables.steer_listeners, gone);
		for (uint32_t i = 0; i < STEER_QUEUES_MAX; i++)
			if (gone[i])
				bpf_map_delete_elem(tables.steer_doors, &i);
		forget_flows(interface, &tables);
	}
	tables_close(&tables);
}

static uint32_t mtu_of(const char *interface)
{
	struct ifreq request = { 0 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	strncpy(request.ifr_name, interface, sizeof(request.ifr_name) - 1);
	if (fd < 0 || ioctl(fd, SIOCGIFMTU, &request))
		request.ifr_mtu = 1500;
	if (fd >= 0)
		close(fd);
	return request.ifr_mtu;
}

static const char *next_step(int error)
{
	switch (error) {
	case -ENOBUFS: /* xdp_umem_account_pages(), net/xdp/xdp_umem.c */
		return ": the agent may not lock enough memory: set LimitMEMLOCK=infinity in its unit";
	case -EOPNOTSUPP:
		return ": endpoints need Linux 6.4: the kernel serves these ports";
	default:
		return "";
	}
}

int seat_take(struct seat *seat, const char *interface, uint32_t queue, uint32_t frames, struct ring_xdp *ring,
	      struct fault *fault)
{
	const char *what = "";
	int error;

	seat->xsk = -1;
	seat->queue = queue;
	snprintf(seat->interface, sizeof(seat->interface), "%s", interface);
	seat->index = interface_index(interface, fault);
	if (seat->index < 0)
		return -ENODEV;
	if (tables_open(&seat->tables, interface, fault))
		return -ENOENT;
	ring_xdp_sizes(ring, frames, mtu_of(interface));
	error = ring_xdp_open(ring, seat->index, queue, 0, &what);
	if (error) {
		fault_set(fault, EXIT_FAILED, "%s, queue %u: %s: %s%s", interface, queue, what, strerror(-error),
			  next_step(error));
		tables_close(&seat->tables);
		return error;
	}
	clear_ports(seat);
	forget_flows(seat->interface, &seat->tables);
	error = make_door(seat);
	if (!error && bpf_map_update_elem(seat->tables.xsks_map, &queue, &ring->xsk, BPF_ANY)) {
		error = -errno;
		drop_door(seat);
	}
	if (error) {
		fault_set(fault, EXIT_FAILED, "%s, queue %u: the steering does not take the socket: %s", interface,
			  queue, strerror(-error));
		close(ring->xsk);
		close(ring->umem);
		tables_close(&seat->tables);
		return error;
	}
	seat->xsk = ring->xsk;
	return 0;
}

int seat_join(struct seat *seat, const char *interface, uint32_t queue, int xsk, struct fault *fault)
{
	int domain = 0, error;
	socklen_t size = sizeof(domain);

	fault_set(fault, EXIT_FAILED, "%s, queue %u: the descriptor is no AF_XDP socket", interface, queue);
	if (queue >= STEER_QUEUES_MAX || getsockopt(xsk, SOL_SOCKET, SO_DOMAIN, &domain, &size) || domain != AF_XDP)
		return -EINVAL;
	seat->index = interface_index(interface, fault);
	if (seat->index < 0)
		return -ENODEV;
	if (tables_open(&seat->tables, interface, fault))
		return -ENOENT;
	seat->queue = queue;
	snprintf(seat->interface, sizeof(seat->interface), "%s", interface);
	/* The same socket is no error (xsk_map_update_elem, net/xdp/xskmap.c): so the place shows whose it is. */
	error = bpf_map_update_elem(seat->tables.xsks_map, &queue, &xsk, BPF_NOEXIST) ? -errno : 0;
	seat->xsk = error ? -1 : fcntl(xsk, F_DUPFD_CLOEXEC, 0);
	if (!error && seat->xsk < 0)
		error = -errno;
	if (!error) {
		clear_ports(seat);
		error = make_door(seat);
		if (!error)
			return 0;
		close(seat->xsk);
		seat->xsk = -1;
	}
	fault_set(fault, EXIT_FAILED, "%s, queue %u: it is not this program's: %s", interface, queue, strerror(-error));
	tables_close(&seat->tables);
	return error;
}

void seat_leave(struct seat *seat, bool keep)
{
	if (keep) {
		close(seat->door);
	} else {
		bpf_map_delete_elem(seat->tables.xsks_map, &seat->queue);
		drop_door(seat);
		clear_ports(seat);
		forget_flows(seat->interface, &seat->tables);
	}
	close(seat->xsk);
	seat->xsk = -1;
	tables_close(&seat->tables);
}

int seat_open_port(struct seat *seat, uint16_t port)
{
	uint32_t key = STEER_LISTENER(seat->queue, port), one = 1;

	return bpf_map_update_elem(seat->tables.steer_listeners, &key, &one, BPF_ANY);
}

void seat_close_port(struct seat *seat, uint16_t port)
{
	uint32_t key = STEER_LISTENER(seat->queue, port);

	bpf_map_delete_elem(seat->tables.steer_listeners, &key);
}

void seat_refresh(struct seat *seat)
{
	struct steer_tables tables;
	struct fault fault;

	if (tables_open(&tables, seat->interface, &fault))
		return;
	tables_close(&seat->tables);
	seat->tables = tables;
	bpf_map_update_elem(seat->tables.steer_doors, &seat->queue, &seat->door, BPF_ANY);
	bpf_map_update_elem(seat->tables.xsks_map, &seat->queue, &seat->xsk, BPF_ANY);
}
