/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The EAL, its ports and their queues: see dpdk_port.h. */
#include "endpoint/dpdk/dpdk_port.h"

#include <errno.h>
#include <net/if.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "endpoint/dpdk/ring_dpdk.h"
#include "fastpath/af_xdp.h"

#define API __attribute__((visibility("default")))
#define QUEUES_MAX 16
#define ARGUMENTS_MAX 48
#define ARGUMENTS_TEXT 2048
#define DESCRIPTORS 1024
#define BUFFERS 6144 /* of a queue: both rings, AF_XDP's own, and what the stack holds */
#define MTU_MAX 1500
#define FRAME_MAX (MTU_MAX + 18)	       /* with a VLAN tag */
#define ROOM (RTE_MBUF_DEFAULT_BUF_SIZE + 256) /* the kernel leaves XDP_PACKET_HEADROOM before a packet */
#define EAL_MIB 48
#define QUEUE_MIB 20 /* BUFFERS * (ROOM + struct rte_mbuf) */
#define STEERING "/sys/fs/bpf/autocork/steer/%s/xsks_map"

static struct dpdk_ring rings[QUEUES_MAX];
static unsigned ring_count;	     /* 0: it did not start */
static char started[ARGUMENTS_TEXT]; /* with these values */

static int read_interface(const char *interface, uint8_t mac[6], uint32_t *mtu)
{
	struct ifreq request = { 0 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), error = 0;

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", interface);
	if (fd < 0 || ioctl(fd, SIOCGIFHWADDR, &request))
		error = -errno;
	memcpy(mac, request.ifr_hwaddr.sa_data, 6);
	if (!error && ioctl(fd, SIOCGIFMTU, &request))
		error = -errno;
	*mtu = request.ifr_mtu;
	if (fd >= 0)
		close(fd);
	return error;
}

/* Without the steering, DPDK's driver would take every packet of the interface from the kernel. */
static bool is_steered(const char *interface)
{
	char path[sizeof(STEERING) + IF_NAMESIZE], name[IF_NAMESIZE];

	snprintf(name, sizeof(name), "%s", interface);
	for (char *dot = name; (dot = strchr(dot, '.'));)
		*dot = ':';
	snprintf(path, sizeof(path), STEERING, name);
	return !access(path, F_OK);
}

static void default_arguments(char *text, size_t size, const char *interface, unsigned queues)
{
	int length = snprintf(text, size, "--no-pci --no-huge -m %u", EAL_MIB + queues * QUEUE_MIB);

	/* The driver of 22.11 takes one queue of a veth at most: a device for each. */
	for (unsigned i = 0; i < queues; i++)
		length += snprintf(text + length, size - length, " --vdev=net_af_xdp%u,iface=%s,start_queue=%u", i,
				   interface, i);
}

/* The EAL binds the thread that starts it to a CPU: afterwards it runs where it did. */
static int start_eal(char *arguments)
{
	/* Without --no-shconf the programs would share a file. The folder by this name is left behind: one for all. */
	char *argv[ARGUMENTS_MAX] = { "autocork-mtcp", "--no-shconf", "--no-telemetry", "--log-level=error",
				      "--file-prefix=autocork-mtcp" },
	     *place;
	int argc = 5, result;
	cpu_set_t cpus;
	bool known = !pthread_getaffinity_np(pthread_self(), sizeof(cpus), &cpus);

	for (char *word = strtok_r(arguments, " \t", &place); word && argc < ARGUMENTS_MAX - 1;
	     word = strtok_r(NULL, " \t", &place))
		argv[argc++] = word;
	result = rte_eal_init(argc, argv);
	if (known)
		pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus);
	return result < 0 ? -rte_errno : 0;
}

static struct rte_mempool *make_pool(const char *driver, unsigned index)
{
	char name[32];

	snprintf(name, sizeof(name), "autocork%u", index);
	if (!strcmp(driver, "net_af_xdp"))
		return af_xdp_pool(name, BUFFERS, ROOM);
	return rte_pktmbuf_pool_create(name, BUFFERS, 0, 0, ROOM, SOCKET_ID_ANY);
}

static int open_queue(struct dpdk_ring *dr, const char *driver, uint32_t mtu)
{
	struct af_xdp_sockets before, after;
	int error;

	dr->pool = make_pool(driver, dr - rings);
	if (!dr->pool)
		return -rte_errno;
	error = rte_eth_tx_queue_setup(dr->port, dr->queue, DESCRIPTORS, SOCKET_ID_ANY, NULL);
	af_xdp_snapshot(&before);
	error = error ?: rte_eth_rx_queue_setup(dr->port, dr->queue, DESCRIPTORS, SOCKET_ID_ANY, NULL, dr->pool);
	af_xdp_snapshot(&after);
	/* Other drivers' queues have nothing to wait on: they are polled. */
	dr->ring = (struct ring){ .ops = &dpdk_ops,
				  .wait_fd = af_xdp_new_socket(&before, &after),
				  .mtu = mtu,
				  .room = FRAME_MAX,
				  .rx_frames = DESCRIPTORS };
	return error;
}

static int open_port(uint16_t port, unsigned first, unsigned queues, uint32_t mtu)
{
	struct rte_eth_conf conf = { 0 };
	struct rte_eth_dev_info info;
	int error = rte_eth_dev_info_get(port, &info) ?: rte_eth_dev_configure(port, queues, queues, &conf);

	for (unsigned i = 0; !error && i < queues; i++) {
		rings[first + i] = (struct dpdk_ring){ .port = port, .queue = i };
		error = open_queue(&rings[first + i], info.driver_name, mtu);
	}
	return error ?: rte_eth_dev_start(port);
}

/* 0; -errno; or 1, with the reason in text: the queues cannot be spread over the ports, or these are not the
 * interface's. */
static int open_ports(const char *interface, unsigned queues, char *text, size_t size)
{
	unsigned ports = rte_eth_dev_count_avail(), opened = 0;
	uint8_t mac[6];
	uint16_t port;
	uint32_t mtu;
	int error = read_interface(interface, mac, &mtu);

	if (error)
		return error;
	if (!ports || queues % ports) {
		snprintf(text, size,
			 "dpdk_args: they make %u ports for num_cores = %u: name a device with a queue for "
			 "each core, or a device for each core",
			 ports, queues);
		return 1;
	}
	RTE_ETH_FOREACH_DEV(port) {
		struct rte_ether_addr own;

		if (rte_eth_macaddr_get(port, &own) || memcmp(own.addr_bytes, mac, 6)) {
			snprintf(text, size,
				 "dpdk_args: the device " RTE_ETHER_ADDR_PRT_FMT " is not %s: name as port "
				 "the interface whose packets it gets, for the stack has that one's "
				 "addresses",
				 RTE_ETHER_ADDR_BYTES(&own), interface);
			return 1;
		}
		error = open_port(port, opened, queues / ports, mtu);
		if (error)
			return error;
		opened += queues / ports;
	}
	return 0;
}

/* What can be seen before the EAL runs. */
static int prepare(const char *interface, unsigned queues, const char *arguments, char *text, size_t size)
{
	uint8_t mac[6];
	uint32_t mtu;
	int error = read_interface(interface, mac, &mtu);

	if (error)
		snprintf(text, size, "port = %s: %s: name an interface of `ip link`", interface, strerror(-error));
	else if (queues > QUEUES_MAX || mtu > MTU_MAX)
		snprintf(text, size, "port = %s: %s: io = af_xdp has no such bound", interface,
			 mtu > MTU_MAX ? "an MTU above 1500" : "more than 16 cores");
	else if (!*arguments && !is_steered(interface))
		snprintf(text, size,
			 "port = %s: no packets are steered there: start autocorkd with a policy that says "
			 "steer = af_xdp",
			 interface);
	else
		return 0;
	return -1;
}

static int start(const char *interface, unsigned queues, const char *given, char *text, size_t size)
{
	char arguments[ARGUMENTS_TEXT];
	int error;

	if (*given)
		snprintf(arguments, sizeof(arguments), "%s", given);
	else
		default_arguments(arguments, sizeof(arguments), interface, queues);
	error = start_eal(arguments);
	if (error) {
		snprintf(text, size, "io = dpdk: DPDK does not start: %s: run it as root, and see its messages above",
			 strerror(-error));
		return -1;
	}
	error = open_ports(interface, queues, text, size);
	if (error < 0)
		snprintf(text, size,
			 "port = %s: DPDK cannot take %u queues: %s: see that it has them and no other "
			 "program does, and that memory may be locked (ulimit -l unlimited)",
			 interface, queues, strerror(-error));
	return error ? -1 : 0;
}

API int autocork_ring_dpdk_start(const char *interface, unsigned queues, const char *arguments, char *text, size_t size)
{
	char values[ARGUMENTS_TEXT];

	snprintf(values, sizeof(values), "%s %u %s", interface, queues, arguments);
	if (*started && (!ring_count || strcmp(started, values))) {
		snprintf(text, size,
			 "io = dpdk: DPDK starts once in a process, and did with other values or failed: start "
			 "the program again");
		return -1;
	}
	if (ring_count)
		return 0;
	if (prepare(interface, queues, arguments, text, size))
		return -1;
	/* What is wrong before the EAL starts can be mended, and tried again. */
	strcpy(started, values);
	if (start(interface, queues, arguments, text, size))
		return -1;
	ring_count = queues;
	return 0;
}

API struct ring *autocork_ring_dpdk_open(unsigned queue)
{
	bool free = false;

	if (queue >= ring_count ||
	    !__atomic_compare_exchange_n(&rings[queue].used, &free, true, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		return NULL;
	return &rings[queue].ring;
}
