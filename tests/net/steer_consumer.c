/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The smallest consumer of steered flows, for tests: an AF_XDP socket behind which UDP and TCP are answered with the
 * payload's case changed, so that a client sees whether this program or the kernel's server answered. TCP is answered
 * from the packet alone.
 *
 *   steer_consumer INTERFACE QUEUE                   adopts the steering program, as every libxdp program does
 *   steer_consumer INTERFACE QUEUE handoff SOCKET    gets the map by the handshake of DPDK's use_cni
 *   steer_consumer INTERFACE QUEUE pinned PATH       opens the pinned map (DPDK's use_pinned_map)
 *
 * Prints "ready" once its socket is in the map. Runs until it is killed.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <err.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <xdp/xsk.h>

#define FRAMES 512
#define FRAME_SIZE XSK_UMEM__DEFAULT_FRAME_SIZE
#define FIRST_SEQUENCE 1000

static struct xsk_ring_prod fill, transmit;
static struct xsk_ring_cons completed, receive;
static struct xsk_socket *xsk;
static unsigned char *memory;

static uint32_t add_up(uint32_t sum, const void *bytes, size_t length)
{
	const unsigned char *at = bytes;

	for (; length > 1; at += 2, length -= 2)
		sum += at[0] << 8 | at[1];
	return length ? sum + (at[0] << 8) : sum;
}

static uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons(~sum);
}

static void swap(void *a, void *b, size_t size)
{
	unsigned char kept[16];

	memcpy(kept, a, size);
	memcpy(a, b, size);
	memcpy(b, kept, size);
}

/* Bytes of the answer's transport part, 0 if there is none. */
static size_t answer_tcp(struct tcphdr *tcp, size_t length)
{
	size_t header = tcp->doff * 4, payload = length - header;
	uint32_t next = ntohl(tcp->seq) + payload + tcp->syn + tcp->fin, mine = ntohl(tcp->ack_seq);
	unsigned char *data = (unsigned char *)tcp + sizeof(*tcp);
	bool syn = tcp->syn, fin = tcp->fin;

	if (tcp->rst || (!payload && !syn && !fin))
		return 0;
	memmove(data, (unsigned char *)tcp + header, payload);
	for (size_t i = 0; i < payload; i++)
		data[i] ^= 0x20;
	swap(&tcp->source, &tcp->dest, 2);
	tcp->seq = htonl(syn ? FIRST_SEQUENCE : mine);
	tcp->ack_seq = htonl(next);
	((unsigned char *)tcp)[12] = 5 << 4;
	((unsigned char *)tcp)[13] = 0x10 | (syn ? 0x02 : 0) | (fin ? 0x01 : 0) | (payload ? 0x08 : 0);
	tcp->window = htons(65535);
	tcp->urg_ptr = 0;
	return sizeof(*tcp) + payload;
}

static size_t answer_udp(struct udphdr *udp)
{
	size_t length = ntohs(udp->len);
	unsigned char *data = (unsigned char *)(udp + 1);

	for (size_t i = 0; i < length - sizeof(*udp); i++)
		data[i] ^= 0x20;
	swap(&udp->source, &udp->dest, 2);
	return length;
}

static size_t answer_transport(unsigned char protocol, unsigned char *at, size_t length, uint32_t pseudo)
{
	uint16_t *checksum = protocol == IPPROTO_TCP ? &((struct tcphdr *)at)->check : &((struct udphdr *)at)->check;

	if (protocol == IPPROTO_TCP)
		length = answer_tcp((struct tcphdr *)at, length);
	else if (protocol == IPPROTO_UDP)
		length = answer_udp((struct udphdr *)at);
	else
		return 0;
	*checksum = 0;
	*checksum = fold(add_up(pseudo + protocol + length, at, length));
	return length;
}

/* Turns the frame into its answer; its length, 0 if there is none. Only whole packets come through the steering. */
static size_t answer(unsigned char *frame)
{
	unsigned char *at = frame + ETH_HLEN;
	size_t length;
	uint32_t pseudo;

	swap(frame, frame + ETH_ALEN, ETH_ALEN);
	while ((at[-2] == 0x81 && at[-1] == 0) || (at[-2] == 0x88 && at[-1] == 0xa8))
		at += 4;
	if (at[-2] == 0x08) {
		struct iphdr *ip = (struct iphdr *)at;

		swap(&ip->saddr, &ip->daddr, 4);
		pseudo = add_up(0, &ip->saddr, 8);
		length = answer_transport(ip->protocol, at + ip->ihl * 4, ntohs(ip->tot_len) - ip->ihl * 4, pseudo);
		if (!length)
			return 0;
		ip->tot_len = htons(ip->ihl * 4 + length);
		ip->check = 0;
		ip->check = fold(add_up(0, ip, ip->ihl * 4));
		return at - frame + ip->ihl * 4 + length;
	} else {
		struct ip6_hdr *ip = (struct ip6_hdr *)at;

		swap(&ip->ip6_src, &ip->ip6_dst, 16);
		pseudo = add_up(0, &ip->ip6_src, 32);
		length = answer_transport(ip->ip6_nxt, at + sizeof(*ip), ntohs(ip->ip6_plen), pseudo);
		if (!length)
			return 0;
		ip->ip6_plen = htons(length);
		return at - frame + sizeof(*ip) + length;
	}
}

static void give_back(uint64_t address)
{
	uint32_t index;

	if (xsk_ring_prod__reserve(&fill, 1, &index) == 1) {
		*xsk_ring_prod__fill_addr(&fill, index) = address & ~(uint64_t)(FRAME_SIZE - 1);
		xsk_ring_prod__submit(&fill, 1);
	}
}

static void work(void)
{
	uint32_t index, count, out;

	count = xsk_ring_cons__peek(&completed, 64, &index);
	for (uint32_t i = 0; i < count; i++)
		give_back(*xsk_ring_cons__comp_addr(&completed, index + i));
	xsk_ring_cons__release(&completed, count);

	count = xsk_ring_cons__peek(&receive, 64, &index);
	for (uint32_t i = 0; i < count; i++) {
		const struct xdp_desc *packet = xsk_ring_cons__rx_desc(&receive, index + i);
		uint64_t address = packet->addr;
		size_t length = answer(memory + address);

		if (!length || xsk_ring_prod__reserve(&transmit, 1, &out) != 1) {
			give_back(address);
			continue;
		}
		*xsk_ring_prod__tx_desc(&transmit, out) = (struct xdp_desc){ .addr = address, .len = length };
		xsk_ring_prod__submit(&transmit, 1);
	}
	xsk_ring_cons__release(&receive, count);
	if (count)
		sendto(xsk_socket__fd(xsk), NULL, 0, MSG_DONTWAIT, NULL, 0);
}

/* Says a request, checks the answer, takes the descriptor that may come with it. */
static int ask(int server, const char *request, const char *wanted)
{
	char text[256] = "", space[CMSG_SPACE(sizeof(int))] = "";
	struct iovec data = { text, sizeof(text) - 1 };
	struct msghdr message = {
		.msg_iov = &data, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof(space)
	};
	int fd = -1;

	if (send(server, request, strlen(request), 0) < 0 || recvmsg(server, &message, 0) <= 0)
		err(1, "%s", request);
	if (strcmp(text, wanted))
		errx(1, "%s: answered %s", request, text);
	if (CMSG_FIRSTHDR(&message))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
	return fd;
}

static int shake_hands(const char *path, const char *interface)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int server = socket(AF_UNIX, SOCK_SEQPACKET, 0), map;
	char request[64];

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (connect(server, (struct sockaddr *)&address, sizeof(address)))
		err(1, "%s", path);
	ask(server, "/connect,here", "/host_ok");
	ask(server, "/version", "0.1");
	snprintf(request, sizeof(request), "/xsk_map_fd,%s", interface);
	map = ask(server, request, "/fd_ack");
	ask(server, "/fin", "/fin_ack");
	close(server);
	return map;
}

int main(int argc, char **argv)
{
	struct xsk_socket_config config = {
		.rx_size = FRAMES / 2,
		.tx_size = FRAMES / 2,
		.bind_flags = XDP_COPY,
		.libxdp_flags = argc > 3 ? XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD : 0,
	};
	struct xsk_umem *umem;
	int map = -1, error, fd;
	uint32_t queue;

	if (argc != 3 && argc != 5)
		errx(2, "usage: steer_consumer INTERFACE QUEUE [handoff SOCKET | pinned PATH]");
	queue = strtoul(argv[2], NULL, 10);
	if (argc == 5)
		map = strcmp(argv[3], "pinned") ? shake_hands(argv[4], argv[1]) : bpf_obj_get(argv[4]);
	if (argc == 5 && map < 0)
		err(1, "%s", argv[4]);
	memory = mmap(NULL, FRAMES * FRAME_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		err(1, "memory");
	error = xsk_umem__create(&umem, memory, FRAMES * FRAME_SIZE, &fill, &completed, NULL);
	if (error)
		errx(1, "xsk_umem__create: %s", strerror(-error));
	error = xsk_socket__create(&xsk, argv[1], queue, umem, &receive, &transmit, &config);
	if (error)
		errx(1, "xsk_socket__create: %s", strerror(-error));
	for (uint64_t i = 0; i < FRAMES; i++)
		give_back(i * FRAME_SIZE);
	fd = xsk_socket__fd(xsk);
	if (map >= 0 && bpf_map_update_elem(map, &queue, &fd, BPF_ANY))
		err(1, "putting the socket into the map");
	puts("ready");
	fflush(stdout);
	for (;;) {
		struct pollfd wait = { .fd = fd, .events = POLLIN };

		if (poll(&wait, 1, -1) < 0 && errno != EINTR)
			err(1, "poll");
		work();
	}
}
