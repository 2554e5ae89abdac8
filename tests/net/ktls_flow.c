/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Requests in small writes over kernel TLS, both ends in this process: `ktls_flow PORT first|later ROUNDS`. With
 * "later" the connection carries ROUNDS plain requests before it turns to TLS. Every byte is compared. Prints
 * {"segments": of the last request, "congestion": …} for the client's end, and exits with 77 where the kernel has no
 * kTLS.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define WRITES 5
#define SIZE 20
#define NO_KTLS 77
#define PAUSE_US 3000 /* after each request: an observer may need a second to come */
#define TCP_ULP 31    /* linux/tcp.h, which does not go with netinet/tcp.h */
#define SOL_TLS 282
/* struct tcp_info of linux/tcp.h is longer than glibc's: tcpi_data_segs_out. */
#define DATA_SEGS_OUT_AT 156

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void option(int fd, int level, int name, const void *value, socklen_t size, const char *what)
{
	if (setsockopt(fd, level, name, value, size))
		fail(what);
}

static int number(const char *text, int most)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (*end || value < 1 || value > most) {
		fprintf(stderr, "ktls_flow: %s: not a number from 1 to %d\n", text, most);
		exit(2);
	}
	return (int)value;
}

static void connect_both(int port, int *client, int *server)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	*client = socket(AF_INET, SOCK_STREAM, 0);
	if (listener < 0 || *client < 0)
		fail("socket");
	option(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one), "SO_REUSEADDR");
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 1))
		fail("listen");
	if (connect(*client, (struct sockaddr *)&address, sizeof(address)))
		fail("connect");
	*server = accept(listener, NULL, NULL);
	if (*server < 0)
		fail("accept");
	close(listener);
	option(*client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one), "TCP_NODELAY");
	option(*server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one), "TCP_NODELAY");
}

static void turn_to_tls(int fd)
{
	struct tls12_crypto_info_aes_gcm_128 keys = {
		.info = { .version = TLS_1_2_VERSION, .cipher_type = TLS_CIPHER_AES_GCM_128 },
	};

	memset(keys.key, 'k', sizeof(keys.key));
	if (setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", sizeof("tls"))) {
		perror("TCP_ULP");
		exit(NO_KTLS);
	}
	if (setsockopt(fd, SOL_TLS, TLS_TX, &keys, sizeof(keys))) {
		perror("TLS_TX");
		exit(errno == ENOENT ? NO_KTLS : 1); /* no such cipher */
	}
	option(fd, SOL_TLS, TLS_RX, &keys, sizeof(keys), "TLS_RX");
}

static uint32_t segments(int fd)
{
	char info[256];
	socklen_t size = sizeof(info);
	uint32_t value;

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &size) || size < DATA_SEGS_OUT_AT + sizeof(value))
		fail("TCP_INFO");
	memcpy(&value, info + DATA_SEGS_OUT_AT, sizeof(value));
	return value;
}

static void receive(int fd, const char *wanted, size_t size)
{
	char got[WRITES * SIZE];

	for (size_t at = 0; at < size;) {
		ssize_t piece = read(fd, got + at, size - at);

		if (piece <= 0)
			fail("read");
		at += (size_t)piece;
	}
	if (memcmp(got, wanted, size)) {
		fprintf(stderr, "ktls_flow: bytes differ\n");
		exit(1);
	}
}

/* Returns the segments of the last request. */
static uint32_t exchange(int client, int server, int rounds)
{
	char request[WRITES * SIZE];
	uint32_t before = 0;

	for (int round = 0; round < rounds; round++) {
		for (size_t i = 0; i < sizeof(request); i++)
			request[i] = (char)(round * 31 + i * 7);
		before = segments(client);
		for (int i = 0; i < WRITES; i++)
			if (write(client, request + i * SIZE, SIZE) != SIZE)
				fail("write");
		receive(server, request, sizeof(request));
		if (write(server, "ok", 2) != 2)
			fail("write");
		receive(client, "ok", 2);
		usleep(PAUSE_US);
	}
	return segments(client) - before;
}

int main(int argc, char **argv)
{
	char name[16] = "";
	socklen_t size = sizeof(name) - 1;
	int client, server, rounds;
	uint32_t last;

	if (argc != 4) {
		fprintf(stderr, "usage: ktls_flow PORT first|later ROUNDS\n");
		return 2;
	}
	rounds = number(argv[3], 1000000);
	alarm(60);
	connect_both(number(argv[1], 65535), &client, &server);
	if (!strcmp(argv[2], "later"))
		exchange(client, server, rounds);
	turn_to_tls(client);
	turn_to_tls(server);
	last = exchange(client, server, rounds);
	if (getsockopt(client, IPPROTO_TCP, TCP_CONGESTION, name, &size))
		fail("TCP_CONGESTION");
	printf("{\"segments\": %u, \"congestion\": \"%s\"}\n", last, name);
	return 0;
}
