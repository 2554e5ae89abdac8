/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Opening and closing of ports: see ports.h. */
#include "fastpath/ports.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_dev.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "fastpath/af_xdp.h"
#include "fastpath/diagnose.h"
#include "lib/log.h"

#define RING 2048u /* descriptors per queue and direction: the default of the AF_XDP driver */
/* A queue keeps both rings full at worst, the AF_XDP driver another two rings in its fill queue; some are held or
 * cached. */
#define BUFFERS_PER_QUEUE (4 * RING + 1024)
#define LINK_OVERHEAD 26    /* Ethernet header, two VLAN tags, checksum */
#define KERNEL_HEADROOM 256 /* XDP_PACKET_HEADROOM: the kernel leaves it before the packet, behind DPDK's own */
#define BUFFER_ROOM_MIN 2048u
#define EAL_MIB 48 /* what the EAL and the drivers take besides */

static int interface_ioctl(unsigned long request, struct ifreq *ifr)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), ret, saved;

	if (fd < 0)
		return -1;
	ret = ioctl(fd, request, ifr);
	saved = errno;
	close(fd);
	errno = saved;
	return ret;
}

uint32_t ports_interface_queues(const char *interface, bool *apart)
{
	struct ethtool_channels channels = { .cmd = ETHTOOL_GCHANNELS };
	struct ifreq ifr = { 0 };

	memcpy(ifr.ifr_name, interface, strnlen(interface, IF_NAMESIZE - 1));
	ifr.ifr_data = (void *)&channels;
	*apart = false;
	if (interface_ioctl(SIOCETHTOOL, &ifr))
		return 1;
	if (channels.max_combined && channels.combined_count)
		return channels.combined_count;
	*apart = true;
	return RTE_MAX(RTE_MIN(channels.rx_count, channels.tx_count), 1u);
}

static uint32_t interface_mtu(const char *interface)
{
	struct ifreq ifr = { 0 };

	memcpy(ifr.ifr_name, interface, strnlen(interface, IF_NAMESIZE - 1));
	return interface_ioctl(SIOCGIFMTU, &ifr) ? 0 : ifr.ifr_mtu;
}

uint32_t ports_memory_mib(size_t sockets, size_t others, uint32_t queues)
{
	uint64_t buffer = BUFFER_ROOM_MIN + RTE_PKTMBUF_HEADROOM + KERNEL_HEADROOM + sizeof(struct rte_mbuf) + 64;
	/* Buffers for hardware do not lie across normal pages. */
	uint64_t bytes = sockets * buffer + others * RTE_ALIGN(buffer, 4096);

	return EAL_MIB + (bytes * queues * BUFFERS_PER_QUEUE >> 20) + 1;
}

static struct rte_mempool *pool_of(const struct ports *ports, const struct port *port)
{
	return port->af_xdp ? ports->sockets : ports->others;
}

static int describe(struct port *port, struct fault *fault)
{
	struct rte_eth_dev_info info;
	char device[RTE_ETH_NAME_MAX_LEN] = "?";
	struct rte_ether_addr mac;
	uint16_t mtu = 0;
	int err;

	rte_eth_dev_get_name_by_port(port->id, device);
	err = rte_eth_dev_info_get(port->id, &info);
	if (err)
		return fault_set(fault, EXIT_FAILED, "%s: cannot ask the driver: %s: see its messages above", device,
				 strerror(-err));
	port->af_xdp = !strcmp(info.driver_name, "net_af_xdp");
	port->if_index = info.if_index;
	if (!info.if_index || !if_indextoname(info.if_index, port->name)) {
		port->if_index = 0;
		snprintf(port->name, sizeof(port->name), "%.31s", device);
	}
	/* The AF_XDP driver reports 1500 whatever its interface says. */
	port->mtu = port->if_index ? interface_mtu(port->name) : 0;
	if (!port->mtu && !rte_eth_dev_get_mtu(port->id, &mtu))
		port->mtu = mtu;
	if (!rte_eth_macaddr_get(port->id, &mac))
		memcpy(port->mac, mac.addr_bytes, sizeof(port->mac));
	return 0;
}

/* Some queues of a port: those of one of its devices. */
struct share {
	uint16_t id;	       /* of the device */
	uint32_t first, count; /* the port's queues, which are 0 to count - 1 of the device */
};

/* Finds out how the queue of the device can wake a core. */
static void queue_waker(struct port *port, const struct share *share, uint16_t queue, bool interrupts, int socket)
{
	struct sleeper_queue *waker = &port->queues[share->first + queue];

	*waker = (struct sleeper_queue){ .kind = SLEEPER_NONE, .fd = -1, .port = share->id, .queue = queue };
	if (socket >= 0) {
		waker->kind = SLEEPER_SOCKET;
		waker->fd = socket;
	} else if (interrupts) {
		waker->kind = SLEEPER_INTERRUPT;
	}
}

static int open_queues(struct ports *ports, struct port *port, const struct share *share, bool interrupts,
		       uint16_t rx_ring, uint16_t tx_ring, struct fault *fault)
{
	int node = rte_eth_dev_socket_id(share->id);
	int *sockets = calloc(share->count, sizeof(*sockets));
	int err = sockets ? 0 : -ENOMEM;

	for (uint32_t q = 0; !err && q < share->count; q++)
		err = rte_eth_tx_queue_setup(share->id, q, tx_ring, node, NULL);
	for (uint32_t q = 0; !err && q < share->count; q++) {
		struct af_xdp_sockets before, after;

		af_xdp_snapshot(&before);
		err = rte_eth_rx_queue_setup(share->id, q, rx_ring, node, NULL, pool_of(ports, port));
		af_xdp_snapshot(&after);
		sockets[q] = af_xdp_new_socket(&before, &after);
	}
	if (!err)
		err = rte_eth_dev_start(share->id);
	for (uint32_t q = 0; !err && q < share->count; q++)
		queue_waker(port, share, q, interrupts, sockets[q]);
	free(sockets);
	if (!err)
		return 0;
	if (port->af_xdp) {
		char why[384];

		diagnose_af_xdp(why, sizeof(why));
		return fault_set(fault, EXIT_FAILED, "%s: cannot take %u queue(s) over by AF_XDP: %s", port->name,
				 ports->queues, why);
	}
	return fault_set(fault, EXIT_FAILED, "%s: cannot set up %u queue(s): %s: see the driver's messages above",
			 port->name, ports->queues, strerror(-err));
}

static int open_device(struct ports *ports, struct port *port, const struct share *share, bool sleep,
		       struct fault *fault)
{
	struct rte_eth_conf conf = { .intr_conf = { .rxq = sleep } };
	uint16_t rx_ring = RING, tx_ring = RING;
	struct rte_eth_dev_info info;
	int err;

	if (rte_eth_dev_info_get(share->id, &info) || share->count > info.max_rx_queues ||
	    share->count > info.max_tx_queues)
		return fault_set(fault, EXIT_FAILED, "%s: has no %u queues: use a smaller --queues", port->name,
				 ports->queues);
	if (port->mtu >= info.min_mtu && port->mtu <= info.max_mtu)
		conf.rxmode.mtu = port->mtu;
	err = rte_eth_dev_configure(share->id, share->count, share->count, &conf);
	if (err && sleep) {
		/* No receive interrupts there. */
		conf.intr_conf.rxq = 0;
		err = rte_eth_dev_configure(share->id, share->count, share->count, &conf);
	}
	if (!err)
		err = rte_eth_dev_adjust_nb_rx_tx_desc(share->id, &rx_ring, &tx_ring);
	if (err)
		return fault_set(fault, EXIT_FAILED,
				 "%s: cannot configure %u queue(s): %s: see the driver's messages above", port->name,
				 ports->queues, strerror(-err));
	return open_queues(ports, port, share, conf.intr_conf.rxq, rx_ring, tx_ring, fault);
}

static int open_port(struct ports *ports, struct port *port, bool sleep, struct fault *fault)
{
	uint32_t each = ports->queues / port->devices;
	int err;

	if (each * port->devices != ports->queues)
		return fault_set(fault, EXIT_FAILED, "%s: is %u devices for %u queues: name them with -i", port->name,
				 port->devices, ports->queues);
	port->queues = calloc(ports->queues, sizeof(*port->queues));
	if (!port->queues)
		return fault_set(fault, EXIT_FAILED, "%s: out of memory", port->name);
	for (uint16_t i = 0; i < port->devices; i++) {
		struct share share = { port->id + i, i * each, each };

		if (open_device(ports, port, &share, sleep, fault))
			return -1;
	}
	/* Frames for others must come in too. Where the driver cannot, it receives everything anyway (taps, capture
	 * files). */
	err = rte_eth_promiscuous_enable(port->id);
	if (err && err != -ENOTSUP)
		log_warning("%s: promiscuous mode: %s: frames for other stations may not be seen", port->name,
			    strerror(-err));
	return 0;
}

int ports_open(struct ports *ports, const struct fastpath_options *options, struct fault *fault)
{
	uint32_t room = BUFFER_ROOM_MIN, each;
	size_t sockets = 0;
	uint16_t id;

	ports->queues = options->queues;
	each = ports->queues * BUFFERS_PER_QUEUE;
	RTE_ETH_FOREACH_DEV(id) {
		struct port *last = ports->count ? &ports->list[ports->count - 1] : NULL,
			    port = { .id = id, .devices = 1 };

		if (describe(&port, fault))
			return -1;
		if (last && port.af_xdp && last->af_xdp && port.if_index == last->if_index &&
		    id == last->id + last->devices) {
			last->devices++;
			continue;
		}
		if (ports->count == FASTPATH_PORTS_MAX)
			return fault_set(fault, EXIT_USAGE, "ports: more than %d: name fewer devices",
					 FASTPATH_PORTS_MAX);
		sockets += port.af_xdp;
		room = RTE_MAX(room, port.mtu + LINK_OVERHEAD);
		ports->list[ports->count++] = port;
	}
	if (!ports->count)
		return fault_set(fault, EXIT_FAILED, "ports: none: give --interface, or --vdev or -a after --");
	if (options->job != FASTPATH_JOB_REFLECT && ports->count % 2)
		return fault_set(fault, EXIT_USAGE, "ports: %zu: the job %s takes pairs: name another interface",
				 ports->count, fastpath_job_name(options->job));
	if (ports->count * ports->queues > FASTPATH_QUEUES_MAX)
		return fault_set(fault, EXIT_USAGE, "queues: more than %d over all ports: use a smaller --queues",
				 FASTPATH_QUEUES_MAX);
	room = RTE_MIN(room + RTE_PKTMBUF_HEADROOM + KERNEL_HEADROOM, (uint32_t)UINT16_MAX);
	/* Ports of a kind share a pool: between them a frame leaves from the buffer it came in. */
	if (sockets)
		ports->sockets = af_xdp_pool("sockets", sockets * each, room);
	if (sockets < ports->count)
		ports->others = rte_pktmbuf_pool_create("others", (ports->count - sockets) * each, AF_XDP_POOL_CACHE, 0,
							room, SOCKET_ID_ANY);
	if ((sockets && !ports->sockets) || (sockets < ports->count && !ports->others))
		return fault_set(fault, EXIT_FAILED,
				 "buffers: %s: free memory or huge pages, use fewer queues, or give DPDK more with -- "
				 "-m MIB",
				 rte_strerror(rte_errno));
	for (size_t i = 0; i < ports->count; i++)
		if (open_port(ports, &ports->list[i], options->wait == FASTPATH_WAIT_INTERRUPT, fault))
			return -1;
	return 0;
}

bool ports_present(const struct ports *ports, const char **lost)
{
	char name[IF_NAMESIZE];

	for (size_t i = 0; i < ports->count; i++) {
		/* A tap may well be moved to a guest's namespace; an AF_XDP socket is dead once its interface goes. */
		if (ports->list[i].af_xdp && !if_indextoname(ports->list[i].if_index, name)) {
			*lost = ports->list[i].name;
			return false;
		}
	}
	return true;
}

void ports_read_mtus(struct ports *ports)
{
	char name[IF_NAMESIZE];

	for (size_t i = 0; i < ports->count; i++) {
		struct port *port = &ports->list[i];
		uint32_t mtu;

		if (!port->if_index || !if_indextoname(port->if_index, name))
			continue;
		mtu = interface_mtu(name);
		if (!mtu || mtu == port->mtu)
			continue;
		log_warning("%s: its MTU is %u now, it was %u: packets made for it are as large at most", port->name,
			    mtu, port->mtu);
		__atomic_store_n(&port->mtu, mtu, __ATOMIC_RELAXED);
	}
}

void ports_close(struct ports *ports)
{
	for (size_t i = 0; i < ports->count; i++) {
		struct port *port = &ports->list[i];

		rte_eth_promiscuous_disable(port->id);
		for (uint16_t id = port->id; id < port->id + port->devices; id++) {
			rte_eth_dev_stop(id);
			rte_eth_dev_close(id);
		}
		free(port->queues);
	}
	ports->count = 0;
}
