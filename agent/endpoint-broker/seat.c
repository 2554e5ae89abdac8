/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "endpoint-broker/seat.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/if_xdp.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "steer/interface.h"

/* What a program that had the queue before has left behind. */
static void clear_ports(const struct seat *seat)
{
	uint32_t key, next, *previous = NULL;
	int left = STEER_LISTENERS_MAX;

	while (left-- && !bpf_map_get_next_key(seat->tables.steer_listeners, previous, &next)) {
		if (previous && key >> 16 == seat->queue)
			bpf_map_delete_elem(seat->tables.steer_listeners, &key);
		key = next;
		previous = &key;
	}
	if (previous && key >> 16 == seat->queue)
		bpf_map_delete_elem(seat->tables.steer_listeners, &key);
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
		fault_set(fault, EXIT_FAILED, "%s, queue %u: %s: %s", interface, queue, what, strerror(-error));
		tables_close(&seat->tables);
		return error;
	}
	clear_ports(seat);
	if (bpf_map_update_elem(seat->tables.xsks_map, &queue, &ring->xsk, BPF_ANY)) {
		error = -errno;
		fault_set(fault, EXIT_FAILED, "%s, queue %u: the steering does not take the socket: %s", interface,
			  queue, strerror(errno));
		close(ring->xsk);
		close(ring->umem);
		tables_close(&seat->tables);
		return error;
	}
	seat->xsk = ring->xsk;
	return 0;
}

void seat_leave(struct seat *seat, bool keep)
{
	if (!keep) {
		bpf_map_delete_elem(seat->tables.xsks_map, &seat->queue);
		clear_ports(seat);
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
	bpf_map_update_elem(seat->tables.xsks_map, &seat->queue, &seat->xsk, BPF_ANY);
}
