/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Tells the agent that a queue is this program's, with a socket that has no right to it: endpoint_join INTERFACE QUEUE
 * xsk|tcp [VERSION]. */
#include <err.h>
#include <linux/if_xdp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "endpoint-broker/protocol.h"

int main(int argc, char **argv)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = ENDPOINT_SOCKET };
	struct endpoint_request request = { .version = ENDPOINT_VERSION, .op = ENDPOINT_JOIN };
	int broker = socket(AF_UNIX, SOCK_SEQPACKET, 0), sock;
	struct endpoint_answer answer;
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { .align = {
			      .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS } };
	struct iovec data = { &request, sizeof(request) };
	struct msghdr message = {
		.msg_iov = &data, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control)
	};

	if (argc < 4)
		errx(2, "usage: endpoint_join INTERFACE QUEUE xsk|tcp [VERSION]");
	if (argc > 4)
		request.version = strtoul(argv[4], NULL, 10);
	sock = strcmp(argv[3], "xsk") ? socket(AF_INET, SOCK_STREAM, 0) : socket(AF_XDP, SOCK_RAW, 0);
	snprintf(request.interface, sizeof(request.interface), "%s", argv[1]);
	request.queue = strtoul(argv[2], NULL, 10);
	memcpy(CMSG_DATA(&control.align), &sock, sizeof(sock));
	if (sock < 0 || connect(broker, (struct sockaddr *)&address, sizeof(address)) ||
	    sendmsg(broker, &message, 0) < 0 || recv(broker, &answer, sizeof(answer), 0) != sizeof(answer))
		err(1, "the agent");
	printf("%d %s\n", answer.error, answer.text);
	return 0;
}
