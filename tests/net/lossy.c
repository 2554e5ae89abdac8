/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * lossy A B LOSS REPEAT REORDER SEED: forwards frames between two interfaces of this namespace and spoils, of those
 * from A to B, so many per 10,000: loses them, sends them twice, or lets later ones overtake. For kernels without
 * netem. Ends with SIGTERM, saying what it did.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23 /* linux/if_packet.h, 4.20 */
#endif
#define OVERTAKEN_BY 3

static volatile sig_atomic_t stop;
static uint64_t state;
static struct {
	uint64_t there, back, lost, repeated, reordered;
} done;

static void on_signal(int number)
{
	stop = 1;
}

static bool happens(int per_10000)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (int)((state >> 20) % 10000) < per_10000;
}

static int open_interface(const char *name)
{
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = if_nametoindex(name),
	};
	struct packet_mreq promiscuous = { .mr_ifindex = address.sll_ifindex, .mr_type = PACKET_MR_PROMISC };
	int fd = socket(AF_PACKET, SOCK_RAW, 0), one = 1, room = 8 << 20;

	if (fd < 0 || !address.sll_ifindex || setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof(promiscuous)) ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address))) {
		fprintf(stderr, "%s: %s\n", name, strerror(errno));
		exit(1);
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	return fd;
}

int main(int argc, char **argv)
{
	static uint8_t late[65536], frame[65536];
	ssize_t late_length = 0, length;
	int passed = 0, loss, repeat, reorder;
	struct pollfd fds[2];

	if (argc != 7) {
		fprintf(stderr, "usage: lossy A B LOSS REPEAT REORDER SEED\n");
		return 2;
	}
	loss = atoi(argv[3]), repeat = atoi(argv[4]), reorder = atoi(argv[5]);
	state = strtoull(argv[6], NULL, 10) * 0x9e3779b97f4a7c15ull | 1;
	for (int i = 0; i < 2; i++)
		fds[i] = (struct pollfd){ .fd = open_interface(argv[1 + i]), .events = POLLIN };
	signal(SIGTERM, on_signal);
	puts("ready");
	fflush(stdout);
	while (!stop) {
		if (!poll(fds, 2, late_length ? 1 : 100) && late_length) {
			send(fds[1].fd, late, late_length, 0); /* nothing came to overtake it */
			late_length = 0;
		}
		for (int i = 0; i < 64 && (length = recv(fds[1].fd, frame, sizeof(frame), MSG_DONTWAIT)) > 0; i++)
			done.back += send(fds[0].fd, frame, length, 0) == length;
		for (int i = 0; i < 64 && (length = recv(fds[0].fd, frame, sizeof(frame), MSG_DONTWAIT)) > 0; i++) {
			done.there++;
			if (happens(loss)) {
				done.lost++;
				continue;
			}
			if (!late_length && happens(reorder)) {
				done.reordered++;
				memcpy(late, frame, length);
				late_length = length;
				passed = 0;
				continue;
			}
			send(fds[1].fd, frame, length, 0);
			if (happens(repeat)) {
				done.repeated++;
				send(fds[1].fd, frame, length, 0);
			}
			if (late_length && ++passed == OVERTAKEN_BY) {
				send(fds[1].fd, late, late_length, 0);
				late_length = 0;
			}
		}
	}
	printf("there %llu back %llu lost %llu repeated %llu reordered %llu\n", (unsigned long long)done.there,
	       (unsigned long long)done.back, (unsigned long long)done.lost, (unsigned long long)done.repeated,
	       (unsigned long long)done.reordered);
	return 0;
}
